/**
 * SSH's transport for the rooms of this protocol: ssh2's classes with what is known to be wrong in it mended. Import
 * from here and never from `ssh2` itself, so that no connection goes without.
 */
import ssh2 from 'ssh2'

export type {
  AcceptConnection,
  AuthContext,
  ClientChannel,
  ClientErrorExtensions,
  ClientInfo,
  ConnectConfig,
  Connection,
  ExecInfo,
  KeyboardAuthContext,
  NoneAuthContext,
  ParsedKey,
  PasswordAuthContext,
  PseudoTtyInfo,
  PublicKeyAuthContext,
  RejectConnection,
  ServerChannel,
  ServerConfig,
  ServerConnectionListener,
  Session,
  SetEnvInfo,
  ShellOptions,
  SignalInfo,
  SubsystemInfo,
  WindowChangeInfo,
} from 'ssh2'

export const { Client, Server, utils } = ssh2
export type Client = ssh2.Client
export type Server = ssh2.Server

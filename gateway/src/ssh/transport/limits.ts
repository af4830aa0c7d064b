/** What one connection may take of us, whoever is at its other end. */
export interface Limits {
  /** Channels open at once. */
  channels: number
  /** Packets that bring nothing (anything but bytes of a channel): so many at once, and so many a second after that. */
  idlePackets: { burst: number; perSecond: number }
  /** Packets before a client of ours has signed in. */
  packetsBeforeSignIn: number
  /** Bytes that wait in the socket for a peer that doesn't read; beyond it the connection ends. */
  backlog: number
  /** Keys are renewed after so many bytes in both directions together, or so many milliseconds, whichever is first. */
  rekey: { bytes: number; ms: number /** How long the peer may take for it, ms. */; timeout: number }
  /** Milliseconds, for `rekey.ms` and the packets a second. */
  clock: () => number
}

/** RFC 4253, section 9 asks for new keys after a gigabyte or an hour. */
export const LIMITS: Limits = {
  channels: 128,
  idlePackets: { burst: 20_000, perSecond: 2_000 },
  packetsBeforeSignIn: 1_000,
  backlog: 16 * 1024 * 1024,
  rekey: { bytes: 1024 ** 3, ms: 3_600_000, timeout: 60_000 },
  clock: () => performance.now(),
}

/** What a peer may declare as the largest packet that it takes, and we then send: RFC 4253, section 6.1 asks for 32 KiB. */
export const PACKET = { least: 1_024, most: 32_768 }

/** Bytes of a packet that is taken, as OpenSSH takes them (packet.c, PACKET_MAX_SIZE): a command is one packet. */
export const LARGEST_PACKET = 256 * 1024

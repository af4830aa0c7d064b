/** What a review asks about: an agent's access to a connection, or a rule by which such is given just in time. */
export type Subject =
  | { kind: 'access'; agent: string; connection: string }
  | { kind: 'rule'; policy: string; connection: string }
export type AccessSubject = Extract<Subject, { kind: 'access' }>

/** Small secrets (tokens, keys), kept as the platform keeps secrets. */
export interface SecureStorage {
  /** false where the platform has no safe place: values then live in memory and end with the process. */
  readonly persistent: boolean
  get(name: string): Promise<string | undefined>
  set(name: string, value: string): Promise<void>
  delete(name: string): Promise<void>
}

/** Keeps secrets in memory only: for tests, and where the platform offers no safe place. */
export function memoryStorage(): SecureStorage {
  const values = new Map<string, string>()
  return {
    persistent: false,
    get: async (name) => values.get(name),
    set: async (name, value) => void values.set(name, value),
    delete: async (name) => void values.delete(name),
  }
}

/** Where files go that a person wants: by a dialog on the desktop, as a download in a browser. */
export interface Downloads {
  /**
   * Asks where `file` should go. A shell whose page fetches it calls `offer` with the address, and resolves when the
   * page has come. @returns undefined where the person wants it nowhere  @throws Error with a sentence
   */
  save(
    file: { name: string; type: string },
    offer: (url: string) => void,
    signal: AbortSignal,
  ): Promise<SavedFile | undefined>
}

export interface SavedFile {
  /** Resolves when more may be written. @throws Error where nothing more can be */
  write(bytes: Uint8Array): Promise<void>
  /** It is there whole. @returns where, as far as the shell knows */
  close(): Promise<string | undefined>
  /** What was written is given up; nobody takes it for the whole. */
  abort(): Promise<void>
}

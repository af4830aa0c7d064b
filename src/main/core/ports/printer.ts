/** Makes paper of a page. Only shells that can have one. */
export interface Printer {
  /**
   * A page of HTML that needs nothing else, as PDF (A4); its scripts are not run.
   * @throws Error with a sentence
   */
  pdf(html: string, signal: AbortSignal): Promise<Uint8Array>
}

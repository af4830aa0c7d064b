/** Why something was not done with an overlay, with a sentence that says what to do. */
export class OverlayRefused extends Error {
  override name = 'OverlayRefused'
  readonly code: 'not-found' | 'conflict' | 'invalid' | 'forbidden' | 'bad-cursor'
  constructor(code: OverlayRefused['code'], message: string) {
    super(message)
    this.code = code
  }
}

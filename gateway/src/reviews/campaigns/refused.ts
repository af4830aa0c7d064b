/** Why something was not done with a campaign, with a sentence that says what to do. */
export class CampaignRefused extends Error {
  override name = 'CampaignRefused'
  readonly code: 'not-found' | 'conflict' | 'invalid' | 'forbidden' | 'bad-cursor'
  constructor(code: CampaignRefused['code'], message: string) {
    super(message)
    this.code = code
  }
}

import type { Campaign, CampaignTemplate } from '@countersign/contract/review'
import type { z } from 'zod'
import { ConsoleError, type ConsoleEvent } from '../../../console-api.ts'
import { type CampaignExport, campaignExports, type reviewCalls } from '../../../reviews-api.ts'
import { type GatewayApi, Refused, Unreachable } from '../gateway-api.ts'
import type { Asking } from '../library/downloads.ts'
import type { Downloads } from '../ports/downloads.ts'
import type { Printer } from '../ports/printer.ts'
import type { ReviewRows } from '../store/review-rows.ts'
import { type Campaigns, nextOf } from './campaigns.ts'
import type { Items } from './items.ts'
import type { Waiting } from './waiting.ts'

type Calls = typeof reviewCalls
type Answers = {
  [N in keyof Calls]: (
    input: z.output<Calls[N]['input']>,
  ) => Promise<z.input<Calls[N]['output']>> | z.input<Calls[N]['output']>
}

/**
 * The reviews' part of ConsoleApi. Decisions and comments are kept here and sent as soon as that can be; everything else
 * that changes something is the gateway's at once or not at all.
 * @param from live: what to ask with, throws a ConsoleError where there is no connection
 */
export function reviewAnswers(from: {
  rows: ReviewRows
  campaigns: Campaigns
  items: Items
  waiting: Waiting
  asking: Asking
  live: () => Promise<{ api: GatewayApi; token: string }>
  downloads: Downloads
  printer?: Printer | undefined
  say(event: ConsoleEvent): void
}): Answers & Disposable {
  const { rows, campaigns, items, waiting, asking, live } = from
  const underWay = new Map<string, AbortController>()

  /** Something done at the gateway; what it is now is looked at where that isn’t clear. */
  async function done<T>(deed: (api: GatewayApi, token: string) => Promise<T>, lookAgain: () => unknown): Promise<T> {
    const { api, token } = await live()
    try {
      return await deed(api, token)
    } catch (error) {
      if (error instanceof Refused || error instanceof Unreachable) lookAgain()
      if (!(error instanceof Unreachable && error.maybeArrived)) throw error
      throw new ConsoleError(
        'unreachable',
        `${error.message} It may have arrived all the same: look at how it stands before you do it again.`,
      )
    }
  }
  async function campaignAfter(
    deed: (api: GatewayApi, token: string) => Promise<Campaign>,
    id?: string,
  ): Promise<Campaign> {
    const campaign = await done(deed, () => (id === undefined ? campaigns.refresh() : campaigns.lookSoon(id)))
    campaigns.take(campaign, 'answer')
    return campaign
  }

  async function lookAt(campaign: string, item: string): Promise<z.input<Calls['campaignItem']['output']>> {
    const asked = await asking()
    const page = asked && (await asked.api.item(asked.token, campaign, item).catch(orStored))
    if (page) items.takePage(page)
    if (page === null) return { page: null, source: 'gateway' }
    const kept = page ?? rows.page(item)
    if (!kept) return { page: null, source: 'local' }
    // What the feed told of it since its evidence was fetched counts.
    const now = rows.item(item)
    const fresher = now && now.revision > kept.item.revision ? { ...kept, item: now } : kept
    return { page: fresher, source: page ? 'gateway' : 'local' }
  }

  return {
    campaigns() {
      campaigns.refresh()
      return { items: campaigns.list(), state: campaigns.state(), pending: waiting.pending() }
    },
    createCampaign: (plan) => campaignAfter((api, token) => api.createCampaign(token, plan)),
    changeCampaign: ({ id, plan }) => campaignAfter((api, token) => api.changeCampaign(token, id, plan), id),
    startCampaign: ({ id }) => campaignAfter((api, token) => api.startCampaign(token, id), id),
    closeCampaign: ({ id, reason }) => campaignAfter((api, token) => api.closeCampaign(token, id, reason), id),
    signOffCampaign: ({ id, statement }) =>
      campaignAfter((api, token) => api.signOffCampaign(token, id, statement), id),
    async removeCampaign({ id }) {
      await done(
        (api, token) => api.removeCampaign(token, id),
        () => campaigns.lookSoon(id),
      )
      campaigns.gone(id)
      return {}
    },
    async campaignTemplates() {
      const templates: CampaignTemplate[] = []
      let after: string | undefined
      do {
        const { api, token } = await live()
        const page = await api.campaignTemplates(token, after)
        const more = page.items.filter(({ id }) => templates.every((each) => each.id !== id))
        templates.push(...more)
        after = nextOf(page.next, more.length)
      } while (after !== undefined)
      return { items: templates }
    },
    saveTemplate: ({ id, ...template }) =>
      done(
        (api, token) => api.saveTemplate(token, id, template),
        () => {},
      ),
    async removeTemplate({ id }) {
      await done(
        (api, token) => api.removeTemplate(token, id),
        () => {},
      )
      return {}
    },

    campaignItems({ campaign, limit, after }) {
      if (after === undefined) items.want(campaign)
      return { ...rows.items({ campaign, limit, after }), state: items.state(campaign) }
    },
    campaignItem: ({ campaign, item }) => lookAt(campaign, item),
    decideItem: (decided) => waiting.decide(decided, rows.item(decided.item)),
    commentItem: (comment) => waiting.comment(comment, rows.item(comment.item)),
    takeBackReview: ({ id }) => ({ taken: waiting.takeBack(id) }),
    resolveReview({ id, choice, anew }) {
      waiting.resolve(id, choice, anew, (item) => rows.item(item))
      return {}
    },
    async moveItem({ campaign, item, kind, ...body }) {
      const look = () => items.look(campaign, item)
      await done((api, token) => api.moveItem(token, { campaign, item }, kind, body), look)
      look()
      return {}
    },
    async decideTogether({ campaign, ...body }) {
      const answer = await done(
        (api, token) => api.decideTogether(token, campaign, body),
        () => items.refetch(campaign),
      )
      if (answer.done) items.refetch(campaign)
      if (answer.done) campaigns.lookSoon(campaign)
      return answer
    },
    async reviewSignals({ campaign }) {
      const { api, token } = await live()
      return api.reviewSignals(token, campaign)
    },
    async checkReduction({ policy }) {
      const { api, token } = await live()
      return api.checkPolicy(token, [{ file: 'proposed.cedar', text: policy }])
    },

    async exportCampaign({ campaign, format, recordings, work }) {
      if (underWay.has(work)) throw new ConsoleError('busy', 'This is under way already.')
      const stopping = new AbortController()
      underWay.set(work, stopping)
      try {
        return await write(campaign, format, recordings, work, stopping.signal)
      } catch (error) {
        if (stopping.signal.aborted) throw new ConsoleError('cancelled', 'It was cancelled.')
        throw error
      } finally {
        underWay.delete(work)
      }
    },
    cancelCampaignExport({ work }) {
      underWay.get(work)?.abort()
      return {}
    },
    [Symbol.dispose]() {
      for (const stopping of underWay.values()) stopping.abort()
    },
  }

  /** First what is to be written, so that nobody chooses a place for what can't be had. */
  async function write(
    campaign: string,
    format: CampaignExport,
    recordings: boolean,
    work: string,
    signal: AbortSignal,
  ): Promise<z.input<Calls['exportCampaign']['output']>> {
    const { printer, downloads, say } = from
    if (format === 'pdf' && !printer)
      throw new ConsoleError('no-printer', 'This shell makes no PDF: export the report, open it, and print it.')
    const told = { type: 'export' as const, work }
    const { api, token } = await live()
    const what =
      format === 'pack' ? (recordings ? 'pack with recordings' : 'pack') : format === 'pdf' ? 'report' : format
    const source = await api.campaignFile(token, campaign, what, signal)
    const { extension } = campaignExports.find(({ id }) => id === format)!
    const name = `countersign-${campaign.replace(/[^A-Za-z0-9_-]/g, '')}.${extension}`
    const target = await downloads.save(
      { name, type: types[format] },
      (url) => say({ ...told, done: 0, total: null, url }),
      signal,
    )
    if (!target) return { state: 'cancelled' }
    let done = 0
    let saidAt = -Infinity
    const progress = (bytes: Uint8Array) => {
      done += bytes.length
      if (performance.now() - saidAt < 150) return
      saidAt = performance.now()
      say({ ...told, done, total: source.bytes })
    }
    try {
      const pages: Uint8Array[] = []
      for await (const bytes of source.stream) {
        signal.throwIfAborted()
        progress(bytes)
        if (format === 'pdf') pages.push(bytes)
        else await target.write(bytes)
      }
      if (source.bytes !== null && done !== source.bytes)
        throw new ConsoleError('cut-off', 'The gateway broke off before all of it was here: try again.')
      if (format === 'pdf') await target.write(await printer!.pdf(Buffer.concat(pages).toString('utf8'), signal))
      const where = await target.close()
      return { state: 'written', ...(where !== undefined && { where }) }
    } catch (error) {
      await target.abort()
      throw error
    }
  }
}

const types: Record<CampaignExport, string> = {
  pack: 'application/x-tar',
  report: 'text/html; charset=utf-8',
  pdf: 'application/pdf',
  csv: 'text/csv; charset=utf-8',
  json: 'application/json',
}

/** What is stored has to do where the gateway can't be reached; what it refuses is refused. */
function orStored(error: Error): undefined {
  if (error instanceof Refused && error.status < 500) throw error
  return undefined
}

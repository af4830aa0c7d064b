import { Backtest, PolicyDraft, PolicyVersionPage } from '@countersign/contract/policies'
import { OverlayPage } from '@countersign/contract/review'
import type { z } from 'zod'
import { ConsoleError, type ConsoleEvent } from '../../../console-api.ts'
import { BacktestHead, type policyCalls } from '../../../policy-api.ts'
import { plainText } from '../attention.ts'
import { type GatewayApi, Refused, Unreachable } from '../gateway-api.ts'
import type { Asking } from '../library/downloads.ts'
import type { Clock } from '../ports/clock.ts'
import type { Downloads } from '../ports/downloads.ts'
import type { PolicyKind } from '../store/policy-rows.ts'
import { isFolderFile, ofFolder, patchOf, tarOf } from './files.ts'
import { draftInConflict } from './gateway-policy.ts'
import type { Policy } from './policy.ts'
import type { Shelf } from './shelf.ts'
import type { DraftWorks } from './works.ts'

type Calls = typeof policyCalls
type Answers = {
  [N in keyof Calls]: (
    input: z.output<Calls[N]['input']>,
  ) => z.input<Calls[N]['output']> | Promise<z.input<Calls[N]['output']>>
}

/**
 * Answers about policy. What is shown comes from what is kept here; saving, backtesting and overlays are the gateway's at
 * once or not at all. What somebody writes is kept until it is saved.
 * @param from live: what to ask with, throws a ConsoleError where there is no connection
 */
export function policyAnswers(from: {
  shelf: Shelf
  policy: Policy
  works: DraftWorks
  clock: Clock
  asking: Asking
  live: () => Promise<{ api: GatewayApi; token: string }>
  downloads: Downloads
  say(event: ConsoleEvent): void
}): Answers {
  const { shelf, policy, works, asking, live } = from
  const now = () => new Date(from.clock.now()).toISOString()

  /** One thing as the gateway tells it now, else as it is kept here. */
  async function look<T>(
    kind: PolicyKind,
    id: string,
    schema: z.ZodType<T>,
    ask: (api: GatewayApi, token: string) => Promise<T | null>,
  ): Promise<{ found: T | null; source: 'gateway' | 'local' }> {
    const asked = await asking()
    const told = asked && (await ask(asked.api, asked.token).catch(orStored))
    if (told) shelf.save(kind, id, now(), told)
    if (told === null) shelf.remove(kind, id)
    if (told !== undefined) return { found: told, source: 'gateway' }
    return { found: shelf.get(kind, id, schema) ?? null, source: 'local' }
  }

  /** Something done at the gateway; how it stands is looked at where it refused, or its answer was lost. */
  async function done<T>(deed: (api: GatewayApi, token: string) => Promise<T>, lookAgain: () => void): Promise<T> {
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

  async function overlay(id: string) {
    const { found, source } = await look('overlay', id, OverlayPage, (api, token) => api.overlay(token, id))
    return { overlay: found, source }
  }

  return {
    policy({ look: looks }) {
      if (looks) policy.refresh()
      return policy.view()
    },
    async policyVersion({ version }) {
      const { inForce } = policy.view()
      if (inForce?.version === version) return { texts: inForce.texts, source: 'local' }
      // A version is its files: what is kept of it is as good as what is told.
      const kept = shelf.get('version', version, PolicyVersionPage)
      if (kept) return { texts: kept.texts, source: 'local' }
      const { found, source } = await look('version', version, PolicyVersionPage, (api, token) =>
        api.policyVersion(token, version),
      )
      return { texts: found?.texts ?? null, source }
    },
    async policyDraft({ id }) {
      const work = works.get(id) ?? null
      if (work && work.revision === undefined) return { draft: null, work, source: 'local' }
      const { found, source } = await look('draft', id, PolicyDraft, (api, token) => api.policyDraft(token, id))
      if (found && source === 'gateway') policy.draft(found)
      return { draft: found, work, source }
    },
    keepDraftWork(work) {
      works.keep(work)
      policy.worksChanged()
      return {}
    },
    dropDraftWork({ id }) {
      works.drop(id)
      policy.worksChanged()
      return {}
    },
    async saveDraft({ work, over }) {
      // Whatever becomes of it on its way, it is not lost.
      works.keep(work)
      policy.worksChanged()
      const revision = over ?? work.revision
      const known = revision === undefined ? undefined : work.id
      try {
        const body = { title: work.title, files: work.files.filter(ofFolder), base: work.base }
        const draft = await done(
          async (api, token) => {
            if (known === undefined) return api.putDraft(token, undefined, body)
            try {
              return await api.putDraft(token, known, { ...body, ...(revision !== undefined && { revision }) })
            } catch (error) {
              // Somebody deleted it: what was written here begins it anew.
              if (!(error instanceof Refused && error.status === 404)) throw error
              policy.draftGone(known)
              return api.putDraft(token, undefined, body)
            }
          },
          () => policy.refresh(),
        )
        shelf.save('draft', draft.id, now(), draft)
        // What was written while this was on its way stays as what is not saved.
        const later = works.get(work.id)
        if (later && later.at !== work.at) works.keep({ ...later, id: draft.id, revision: draft.revision })
        if (!later || later.at === work.at || draft.id !== work.id) works.drop(work.id)
        policy.worksChanged()
        policy.draft(draft)
        return { state: 'saved', draft }
      } catch (error) {
        if (!(error instanceof Refused && error.status === 409 && known !== undefined)) throw error
        const { api, token } = await live()
        const theirs = draftInConflict(error.problem) ?? (await api.policyDraft(token, known))
        if (!theirs) throw error
        shelf.save('draft', theirs.id, now(), theirs)
        policy.draft(theirs)
        return { state: 'conflict', draft: theirs }
      }
    },
    async deleteDraft({ id }) {
      const work = works.get(id)
      if (!work || work.revision !== undefined) {
        await done(
          (api, token) => api.deleteDraft(token, id),
          () => policy.refresh(),
        )
        shelf.remove('draft', id)
        policy.draftGone(id)
      }
      works.drop(id)
      policy.worksChanged()
      return {}
    },
    async checkPolicy({ files }) {
      const { api, token } = await live()
      return api.checkPolicy(token, files)
    },

    async startBacktest(request) {
      const backtest = await done(
        (api, token) => api.startBacktest(token, request),
        () => policy.refresh(),
      )
      policy.backtest(backtest)
      return backtest
    },
    async backtest({ id }) {
      const { found, source } = await look('backtest', id, Backtest, (api, token) => api.backtest(token, id))
      if (found && source === 'gateway') policy.backtest(BacktestHead.parse(found))
      return { backtest: found, source }
    },
    async cancelBacktest({ id }) {
      const backtest = await done(
        (api, token) => api.cancelBacktest(token, id),
        () => policy.refresh(),
      )
      policy.backtest(BacktestHead.parse(backtest))
      return BacktestHead.parse(backtest)
    },

    overlay: ({ id }) => overlay(id),
    async answerOverlay({ id, does, ...answer }) {
      const answered = await done(
        (api, token) => api.answerOverlay(token, id, does, answer),
        () =>
          void overlay(id).then(
            ({ overlay: found, source }) => {
              if (found && source === 'gateway') policy.overlay(found)
            },
            () => {},
          ),
      )
      policy.overlay(answered)
      return answered
    },
    async overlayEdits() {
      const { api, token } = await live()
      return api.overlayEdits(token)
    },

    async savePolicyFiles({ work, name, form, files, before = [] }) {
      const strange = [...before, ...files].filter(ofFolder).find(({ file }) => !isFolderFile(file))
      if (strange)
        throw new ConsoleError(
          'bad-name',
          `“${plainText(strange.file, 80)}” is no name of a file of the policy folder: nothing was written.`,
        )
      const told = { type: 'export' as const, work }
      const type = form === 'tar' ? 'application/x-tar' : form === 'patch' ? 'text/x-diff' : 'text/plain; charset=utf-8'
      const encoder = new TextEncoder()
      const target = await from.downloads.save(
        { name: safeName(name), type },
        (url) => from.say({ ...told, done: 0, total: null, url }),
        new AbortController().signal,
      )
      if (!target) return { state: 'cancelled' }
      try {
        if (form === 'tar') for await (const bytes of tarOf(files)) await target.write(bytes)
        else await target.write(encoder.encode(form === 'patch' ? patchOf(before, files) : files[0]!.text))
        const where = await target.close()
        return { state: 'written', ...(where !== undefined && { where }) }
      } catch (error) {
        await target.abort()
        throw error
      }
    },
  }
}

const safeName = (name: string) => name.replaceAll(/[^A-Za-z0-9._-]+/g, '-').replace(/^[.-]+/, '') || 'policy'

/** What is stored has to do where the gateway can't be reached; what it refuses is refused. */
function orStored(error: Error): undefined {
  if (error instanceof Refused && error.status < 500) throw error
  return undefined
}

import type { IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import type { FeedMessage } from '@countersign/contract/feed'
import type { Me } from '@countersign/contract/identity'
import {
  Backtest,
  BacktestRequest,
  type PolicyCheck,
  PolicyDraft,
  PolicyDraftRequest,
  type PolicyText,
  type PolicyVersionPage,
} from '@countersign/contract/policies'
import { Overlay, OverlayAnswer, type OverlayExport, OverlayPage } from '@countersign/contract/review'
import type { z } from 'zod'

/** The room of policy of a small gateway. What it says is checked by the contract. */
export interface SmallPolicy {
  policy: {
    /** The latest first; its texts are in force. */
    versions: PolicyVersionPage[]
    drafts: Map<string, PolicyDraft>
    backtests: Map<string, Backtest>
    overlays: Map<string, OverlayPage>
    /** Bodies that arrived, in order. */
    asked: unknown[]
    /** What the next answers are refused with. */
    refuses?: { status: number; problem: string }
    /** A set comes into force, and the feed says so. */
    enforce(texts: PolicyText[], reason: string): PolicyVersionPage
    backtest(given: Partial<Backtest> & { id: string }): Backtest
    overlay(given: Partial<OverlayPage> & { id: string }): OverlayPage
  }
}

type Told = { items: unknown[] } | { item: unknown } | { problem: string; status: number; members?: object }

export function smallPolicy(say: (type: FeedMessage['type'], data: unknown) => void) {
  const policy: SmallPolicy['policy'] = {
    versions: [],
    drafts: new Map(),
    backtests: new Map(),
    overlays: new Map(),
    asked: [],
    enforce(texts, reason) {
      const at = new Date().toISOString()
      const [before] = policy.versions
      if (before) before.until = at
      const page: PolicyVersionPage = {
        version: `sha256:${policy.versions.length + 1}`,
        from: at,
        by: { kind: 'gateway', name: 'the gateway' },
        reason,
        files: texts.map(({ file }) => file),
        changed: [],
        texts,
      }
      policy.versions.unshift(page)
      say('policy.changed', { version: page.version, by: page.by.name, reason })
      return page
    },
    backtest(given) {
      const backtest = Backtest.parse({ ...someBacktest(), ...policy.backtests.get(given.id), ...given })
      policy.backtests.set(backtest.id, backtest)
      const { result: _, ...head } = backtest
      say('backtest.changed', head)
      return backtest
    },
    overlay(given) {
      const page = OverlayPage.parse({ ...someOverlay(), ...policy.overlays.get(given.id), ...given })
      policy.overlays.set(page.id, page)
      say('overlay.changed', Overlay.parse(page))
      return page
    },
  }

  let made = 0

  async function answer(url: URL, person: Me, request: IncomingMessage): Promise<Told | undefined> {
    const [, , room, part, id, deed] = url.pathname.split('/').map(decodeURIComponent)
    if (room !== 'policy' && room !== 'overlays') return undefined
    const roles = person.kind === 'person' ? person.roles : []
    const is = (...wanted: string[]) => roles.some((role) => wanted.includes(role))
    const forbidden = { status: 403, problem: `Not for your roles: ${roles.join(', ')}.` }
    if (room === 'policy' && part === undefined) {
      const [now] = policy.versions
      return { item: now && { version: now.version, texts: now.texts } }
    }
    if (part === 'versions') {
      if (id) return { item: policy.versions.find(({ version }) => version === id) }
      return { items: policy.versions.map(({ texts: _, ...version }) => version) }
    }
    if (!is('reviewer', 'auditor', 'admin')) return forbidden
    const writing = request.method === 'POST' || request.method === 'PUT'
    const body = writing ? await json(request) : undefined
    if (writing) policy.asked.push(body)
    if (writing && policy.refuses) return policy.refuses
    if (room === 'overlays') {
      if (!part) return { items: [...policy.overlays.values()].map((page) => Overlay.parse(page)).reverse() }
      if (part === 'export') return { item: edits([...policy.overlays.values()]) }
      if (id === undefined) return { item: policy.overlays.get(part) }
      return is('admin') ? answerOverlay(part, id, OverlayAnswer.parse(body), person) : forbidden
    }
    if (part === 'backtest') {
      const asked = BacktestRequest.parse(body)
      const title = asked.draft ? (policy.drafts.get(asked.draft)?.title ?? '') : 'Files'
      return { item: policy.backtest({ id: `bt_${policy.backtests.size + 1}`, title, against: asked.against }) }
    }
    if (part === 'backtests') {
      if (deed === 'cancel') return { item: policy.backtest({ id: id!, state: 'cancelled' }) }
      if (id) return { item: policy.backtests.get(id) }
      return { items: [...policy.backtests.values()].reverse().map(({ result: _, ...head }) => head) }
    }
    if (part === 'check') return { item: checkOf((body as { files: PolicyText[] }).files) }
    if (part !== 'drafts') return undefined
    if (request.method === 'DELETE') {
      policy.drafts.delete(id!)
      return { item: {} }
    }
    if (!body) return id ? { item: policy.drafts.get(id) } : { items: [...policy.drafts.values()] }
    if (!is('reviewer', 'admin')) return forbidden
    const asked = PolicyDraftRequest.parse(body)
    const known = id ? policy.drafts.get(id) : undefined
    if (id && !known) return { status: 404, problem: 'There is no such draft: it may have been deleted.' }
    if (id && known?.revision !== asked.revision)
      return { status: 409, problem: 'Somebody saved it meanwhile.', members: { draft: known } }
    const by = { id: person.id, issuer: person.issuer, subject: person.subject, name: person.name }
    const at = new Date().toISOString()
    if (!id) made += 1
    const draft = PolicyDraft.parse({
      id: id ?? `dr_${made}`,
      title: asked.title,
      files: asked.files,
      base: asked.base ?? policy.versions[0]?.version ?? '',
      ...{ by: known?.by ?? by, at: known?.at ?? at, changedBy: by, changedAt: at },
      revision: (known?.revision ?? 0) + 1,
      check: checkOf(asked.files),
    })
    policy.drafts.set(draft.id, draft)
    return { item: draft }
  }

  function answerOverlay(
    id: string,
    does: string,
    { reason, digest }: z.output<typeof OverlayAnswer>,
    person: Me,
  ): Told {
    const page = policy.overlays.get(id)
    if (!page) return { status: 404, problem: 'There is no such overlay.' }
    const by = { id: person.id, issuer: person.issuer, subject: person.subject, name: person.name }
    const said = { by, at: new Date().toISOString(), reason }
    if (does === 'apply' && digest !== page.digest) return { status: 409, problem: 'It was changed meanwhile.' }
    if (does === 'apply' && page.proposed.by?.id === person.id)
      return { status: 403, problem: 'Four eyes: whoever decided it does not apply it.' }
    const change: Partial<Overlay> =
      does === 'apply'
        ? { state: 'verified', approved: said, inForce: true }
        : does === 'reject'
          ? { state: 'rejected', rejected: said }
          : page.rollBack
            ? { state: 'rolled-back', rolledBack: said, inForce: false }
            : { rollBack: said }
    return { item: Overlay.parse(policy.overlay({ id, ...change })) }
  }

  return { rooms: { policy }, answer }
}

function edits(overlays: readonly OverlayPage[]): OverlayExport {
  const files = overlays.map(({ id, policy }) => ({ file: `${id}.cedar`, text: policy }))
  return { overlays: overlays.map(({ id }) => id), files, patch: 'diff --git a/x b/x\n' }
}

/** What has the word wrong in it is wrong. */
function checkOf(files: readonly PolicyText[]): PolicyCheck {
  const problems = files.flatMap(({ file, text }) =>
    text
      .split('\n')
      .flatMap((line, i) => (line.includes('wrong') ? [{ file, line: i + 1, message: line, mend: '' }] : [])),
  )
  return { ok: problems.length === 0, problems, warnings: [], tests: [] }
}

export function someBacktest(): Backtest {
  const at = new Date().toISOString()
  return {
    ...{ id: 'bt_1', state: 'running', title: 'Tighter', version: 'sha256:9', against: 'recorded' },
    by: { id: 'i#ada', issuer: 'i', subject: 'ada', name: 'ada' },
    ...{ at, since: at, until: at, progress: { commands: 0 } },
  }
}

export function someOverlay(): OverlayPage {
  const at = new Date().toISOString()
  return {
    ...{ id: 'ov_1', number: 1, state: 'proposed', kind: 'reduce', title: 'Reduce report-builder on orders' },
    ...{ agent: 'i#report-builder', connection: 'orders', campaign: 'ca_1', item: 'it_1', decision: 'de_1' },
    policy: 'forbid (principal == Agent::"i#report-builder", action, resource in Connection::"orders");\n',
    digest: 'd'.repeat(64),
    proposed: { by: { id: 'i#rae', issuer: 'i', subject: 'rae', name: 'Rae' }, at, reason: 'never used' },
    probes: [],
  }
}

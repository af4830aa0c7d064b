import { listOf, PolicyInForce } from '@countersign/contract/api'
import {
  Backtest,
  type BacktestRequest,
  DraftConflict,
  PolicyCheck,
  PolicyDraft,
  type PolicyDraftRequest,
  type PolicyText,
  PolicyVersion,
  PolicyVersionPage,
} from '@countersign/contract/policies'
import { Overlay, OverlayExport, OverlayPage } from '@countersign/contract/review'
import { z } from 'zod'
import type { AskFor, OrNull } from '../access/gateway-access.ts'
import type { Asked } from '../gateway-api.ts'

/** The calls of a gateway about policy. */
export interface PolicyApi {
  /** @throws Unreachable, Refused; all calls do */
  policyInForce(token: string): Promise<PolicyInForce>
  /** The latest first. */
  policyVersions(token: string, limit: number): Promise<{ items: PolicyVersion[]; next: string | null }>
  policyVersion(token: string, version: string): Promise<PolicyVersionPage | null>
  policyDrafts(token: string): Promise<PolicyDraft[]>
  policyDraft(token: string, id: string): Promise<PolicyDraft | null>
  /** A new one where `id` is undefined. */
  putDraft(token: string, id: string | undefined, draft: PolicyDraftRequest): Promise<PolicyDraft>
  deleteDraft(token: string, id: string): Promise<void>
  checkPolicy(token: string, files: readonly PolicyText[]): Promise<PolicyCheck>
  startBacktest(token: string, request: BacktestRequest): Promise<Backtest>
  backtests(token: string, limit: number): Promise<{ items: Backtest[]; next: string | null }>
  backtest(token: string, id: string): Promise<Backtest | null>
  cancelBacktest(token: string, id: string): Promise<Backtest>
  overlays(token: string, limit: number): Promise<{ items: Overlay[]; next: string | null }>
  overlay(token: string, id: string): Promise<OverlayPage | null>
  answerOverlay(
    token: string,
    id: string,
    does: 'apply' | 'reject' | 'roll-back' | 'retire',
    answer: { reason: string; digest?: string | undefined; confirms?: string | undefined },
  ): Promise<Overlay>
  overlayEdits(token: string): Promise<OverlayExport>
}

const most = 64 * 1024 * 1024
/** A backtest's start validates files; applying an overlay asks the gate. */
const patience = 60_000
const longestList = 1000

export function policyApi(askFor: AskFor, orNull: OrNull): PolicyApi {
  const get = (token: string): Asked => ({ token, most })
  const post = (token: string, body: unknown = {}): Asked => ({ method: 'POST', token, body, most, patience })
  const at = (room: string, id: string) => `/v1/${room}/${encodeURIComponent(id)}`
  const all = async <T>(schema: z.ZodType<T>, path: string, token: string): Promise<T[]> => {
    const items: T[] = []
    let after: string | null = null
    do {
      const query: string = new URLSearchParams({ limit: '100', ...(after !== null && { after }) }).toString()
      const page: { items: T[]; next: string | null } = await askFor(listOf(schema), `${path}?${query}`, get(token))
      items.push(...page.items)
      after = page.next
    } while (after !== null && items.length < longestList)
    return items
  }
  return {
    policyInForce: (token) => askFor(PolicyInForce, '/v1/policy', get(token)),
    policyVersions: (token, limit) => askFor(listOf(PolicyVersion), `/v1/policy/versions?limit=${limit}`, get(token)),
    policyVersion: (token, version) => orNull(askFor(PolicyVersionPage, at('policy/versions', version), get(token))),
    policyDrafts: (token) => all(PolicyDraft, '/v1/policy/drafts', token),
    policyDraft: (token, id) => orNull(askFor(PolicyDraft, at('policy/drafts', id), get(token))),
    putDraft: (token, id, draft) =>
      id === undefined
        ? askFor(PolicyDraft, '/v1/policy/drafts', post(token, draft))
        : askFor(PolicyDraft, at('policy/drafts', id), { ...post(token, draft), method: 'PUT' }),
    async deleteDraft(token, id) {
      await askFor(z.unknown(), at('policy/drafts', id), { method: 'DELETE', token })
    },
    checkPolicy: (token, files) => askFor(PolicyCheck, '/v1/policy/check', post(token, { files })),
    startBacktest: (token, request) => askFor(Backtest, '/v1/policy/backtest', post(token, request)),
    backtests: (token, limit) => askFor(listOf(Backtest), `/v1/policy/backtests?limit=${limit}`, get(token)),
    backtest: (token, id) => orNull(askFor(Backtest, at('policy/backtests', id), get(token))),
    cancelBacktest: (token, id) => askFor(Backtest, `${at('policy/backtests', id)}/cancel`, post(token)),
    overlays: (token, limit) => askFor(listOf(Overlay), `/v1/overlays?limit=${limit}`, get(token)),
    overlay: (token, id) => orNull(askFor(OverlayPage, at('overlays', id), get(token))),
    answerOverlay: (token, id, does, answer) =>
      askFor(Overlay, `${at('overlays', id)}/${does}`, post(token, JSON.parse(JSON.stringify(answer)))),
    overlayEdits: (token) => askFor(OverlayExport, '/v1/overlays/export', get(token)),
  }
}

/** The draft as it is at the gateway, where a refusal names it. */
export function draftInConflict(problem: unknown): PolicyDraft | undefined {
  const parsed = DraftConflict.safeParse(problem)
  return parsed.success ? parsed.data.draft : undefined
}

import { hash } from 'node:crypto'
import { canonical } from '@countersign/contract/canonical'
import type { PersonRef } from '@countersign/contract/identity'
import { type Campaign, CampaignPlan, type CampaignTemplate, type TemplateRequest } from '@countersign/contract/review'
import type { Selectable, Transaction } from 'kysely'
import type { BaseLogger } from 'pino'
import type { z } from 'zod'
import { appendAudit } from '../../store/audit.ts'
import type { CampaignTemplatesTable } from '../../store/review-tables.ts'
import type { Store } from '../../store/store.ts'
import type { Tables } from '../../store/tables.ts'
import { builtInTemplates } from './built-in.ts'
import { type Cadence, nextDay } from './cadence.ts'
import { makeDraft, mustBeReadable } from './making.ts'
import { CampaignRefused } from './refused.ts'
import { refOf } from './rows.ts'
import type { StartingRoom } from './starting.ts'

/** What campaigns are made of again and again: those that come with Countersign, and people's own. */
export interface Templates {
  list(): Promise<CampaignTemplate[]>
  get(id: string): Promise<CampaignTemplate | undefined>
  /** Makes or changes one; a built-in one becomes one's own. */
  save(id: string, by: PersonRef, asked: z.output<typeof TemplateRequest>): Promise<CampaignTemplate>
  /** Takes one away; one of one's own that was built in is built in again. @throws CampaignRefused */
  remove(id: string, by: PersonRef): Promise<void>
  /** Begins what the calendars say: each day once, after a time without the gateway only the last. Answers when the next is. */
  beginDue(): Promise<number | undefined>
  /** Begins one because something changed, about these agents. Answers the campaign, if it is about any. */
  begin(
    template: CampaignTemplate,
    trigger: Campaign['trigger'],
    agents: readonly string[],
    words: string,
  ): Promise<string | undefined>
}

const MOST_TEMPLATES = 200
const idWords = 'an id is lower-case letters, digits and hyphens, 64 at most'

export function createTemplates(options: {
  store: Store
  starting: Pick<StartingRoom, 'startIn' | 'go'>
  /** Data classes that connections have now. */
  classes: () => readonly string[]
  /** When the next is due may be another time now. */
  changed: () => void
  log: Pick<BaseLogger, 'error'>
  clock: () => number
}): Templates {
  const { store, starting, clock, log } = options
  const { db } = store
  const builtIn = () => builtInTemplates(options.classes())

  const list = async () => {
    const rows = await db.selectFrom('campaign_templates').selectAll().orderBy('id').execute()
    const own = rows.map(templateOf)
    return [...own, ...builtIn().filter(({ id }) => !own.some((one) => one.id === id))]
  }
  const draftOf = async (
    tx: Transaction<Tables>,
    { id, plan, by }: CampaignTemplate,
    changes: Partial<CampaignPlan>,
    trigger: Campaign['trigger'],
    at: Date,
  ): Promise<string> => {
    const own = { ...plan, ...changes, template: id }
    const campaign = await makeDraft(tx, { plan: own, trigger, by: undefined, owner: by?.id, at })
    await starting.startIn(tx, campaign, undefined)
    await tx.updateTable('campaign_templates').set({ last_campaign: campaign }).where('id', '=', id).execute()
    return campaign
  }

  return {
    list,
    get: async (id) => (await list()).find((one) => one.id === id),
    async save(id, by, asked) {
      if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(id)) throw new CampaignRefused('invalid', `“${id}” is no id: ${idWords}.`)
      mustBeReadable(asked.plan)
      const at = new Date(clock())
      const plan: CampaignPlan = { ...asked.plan, template: id }
      await db.transaction().execute(async (tx) => {
        const { n } = await tx
          .selectFrom('campaign_templates')
          .select((e) => e.fn.countAll<number>().as('n'))
          .where('id', '!=', id)
          .executeTakeFirstOrThrow()
        if (Number(n) >= MOST_TEMPLATES)
          throw new CampaignRefused('conflict', `There are ${MOST_TEMPLATES} templates: take one away first.`)
        const next = asked.cadence && asked.enabled ? await firstOf(tx, id, asked.cadence, at.getTime()) : null
        const row = {
          plan: JSON.stringify(plan),
          cadence: asked.cadence && JSON.stringify(asked.cadence),
          triggers: JSON.stringify([...new Set(asked.triggers)]),
          enabled: asked.enabled ? (1 as const) : (0 as const),
          next_at: next === null ? null : new Date(next).toISOString(),
          by: JSON.stringify(refOf(by)),
          changed_at: at.toISOString(),
        }
        await tx
          .insertInto('campaign_templates')
          .values({ id, ...row })
          .onConflict((c) => c.column('id').doUpdateSet(row))
          .execute()
        await appendAudit(
          tx,
          'template.saved',
          { template: id, by: refOf(by), sha256: templateHash(row), enabled: asked.enabled },
          at,
        )
      })
      options.changed()
      return (await list()).find((one) => one.id === id)!
    },
    async remove(id, by) {
      const at = new Date(clock())
      await db.transaction().execute(async (tx) => {
        const row = await tx.selectFrom('campaign_templates').selectAll().where('id', '=', id).executeTakeFirst()
        if (!row && builtIn().some((one) => one.id === id))
          throw new CampaignRefused(
            'conflict',
            `The template ${id} comes with Countersign: it begins nothing by itself.`,
          )
        if (!row) throw new CampaignRefused('not-found', `There is no template ${id}.`)
        await tx.deleteFrom('campaign_templates').where('id', '=', id).execute()
        await appendAudit(
          tx,
          'template.saved',
          { template: id, by: refOf(by), sha256: templateHash(row), enabled: false, removed: true },
          at,
        )
      })
      options.changed()
    },
    async beginDue() {
      const now = clock()
      const due = await db
        .selectFrom('campaign_templates')
        .select('id')
        .where('enabled', '=', 1)
        .where('next_at', '<=', new Date(now).toISOString())
        .execute()
      for (const { id } of due) {
        const begun = await db.transaction().execute(async (tx) => {
          const row = await tx.selectFrom('campaign_templates').selectAll().where('id', '=', id).executeTakeFirst()
          if (!row?.enabled || row.next_at === null || row.cadence === null || Date.parse(row.next_at) > now) return
          const template = templateOf(row)
          const at = new Date(now)
          const campaign = await draftOf(tx, template, { title: titled(template, dayOf(at)) }, { kind: 'cadence' }, at)
          const next = nextDay(template.cadence!, now + 1)
          await tx
            .updateTable('campaign_templates')
            .set({ next_at: new Date(next).toISOString() })
            .where('id', '=', id)
            .execute()
          return campaign
        })
        if (begun) starting.go(begun)
      }
      const { next } = await db
        .selectFrom('campaign_templates')
        .select((e) => e.fn.min('next_at').as('next'))
        .where('enabled', '=', 1)
        .executeTakeFirstOrThrow()
      return next === null ? undefined : Date.parse(next)
    },
    async begin(template, trigger, agents, words) {
      const { scope } = template.plan
      const about = agents.filter((one) => !scope.agents || scope.agents.includes(one)).slice(0, 10_000)
      if (about.length === 0) return undefined
      const changes = { title: titled(template, words), scope: { ...scope, agents: about } }
      const campaign = await db
        .transaction()
        .execute((tx) => draftOf(tx, template, changes, trigger, new Date(clock())))
        .catch((error) => {
          log.error({ error, template: template.id }, 'a campaign could not be made of a template')
        })
      if (campaign) starting.go(campaign)
      return campaign ?? undefined
    },
  }
}

/** The first day that is today or later, and for which none was begun yet. */
async function firstOf(tx: Transaction<Tables>, id: string, cadence: Cadence, now: number): Promise<number> {
  const today = nextDay(cadence, Math.floor(now / DAY) * DAY)
  if (today > now) return today
  const begun = await tx
    .selectFrom('campaigns')
    .select('trigger')
    .where('template', '=', id)
    .where('created_at', '>=', new Date(today).toISOString())
    .execute()
  const isDone = begun.some(({ trigger }) => (JSON.parse(trigger) as Campaign['trigger']).kind === 'cadence')
  return isDone ? nextDay(cadence, now + 1) : today
}

const DAY = 86_400_000
const dayOf = (at: Date) => at.toISOString().slice(0, 10)
/** What agents are called is in it: half of a character at its end has no form in the ledger. */
const titled = ({ plan }: CampaignTemplate, words: string) =>
  `${plan.title} · ${words}`.slice(0, 200).replace(/\p{Cs}$/u, '')

/** What the ledger has of a template: SHA-256 over what it says. */
export function templateHash({
  plan,
  cadence,
  triggers,
}: Pick<Selectable<CampaignTemplatesTable>, 'plan' | 'cadence' | 'triggers'>): string {
  return hash(
    'sha256',
    canonical({ plan: JSON.parse(plan), cadence: cadence && JSON.parse(cadence), triggers: JSON.parse(triggers) }),
  )
}

function templateOf(row: Selectable<CampaignTemplatesTable>): CampaignTemplate {
  return {
    id: row.id,
    plan: CampaignPlan.parse(JSON.parse(row.plan)),
    builtIn: false,
    ...(row.cadence !== null && { cadence: JSON.parse(row.cadence) as Cadence }),
    triggers: JSON.parse(row.triggers) as CampaignTemplate['triggers'],
    enabled: row.enabled === 1,
    ...(row.next_at !== null && { nextAt: row.next_at }),
    ...(row.last_campaign !== null && { lastCampaign: row.last_campaign }),
    ...(row.by !== null && { by: JSON.parse(row.by) as PersonRef }),
    changedAt: row.changed_at,
  }
}

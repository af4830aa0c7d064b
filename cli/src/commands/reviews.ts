import { randomUUID } from 'node:crypto'
import {
  Campaign,
  CampaignItem,
  CampaignItemPage,
  ItemDecisionAnswer,
  type ItemDecisionRequest,
  Overlay,
} from '@countersign/contract/review'
import { type Command, Option } from 'commander'
import { type Context, gatewayIn, runs } from '../context.ts'
import { misuse } from '../errors.ts'
import { download } from '../gateway/download.ts'
import { segment } from '../gateway/gateway.ts'
import { print } from '../show/print.ts'
import { campaignTable, itemTable, overlayTable, showCampaign, showItem, showOverlay } from '../show/review.ts'
import { shown } from '../terminal/text.ts'
import { group } from './group.ts'
import { type ListOptions, listed, listOptions } from './list.ts'

const forms = { pack: 'pack', report: 'report', csv: 'items.csv', json: 'items.json' } as const

/** reviews: campaigns, their items, deciding them, and what shows that it was done. */
export function reviewCommands(program: Command): void {
  const reviews = group(program, 'reviews', 'access reviews: campaigns, what they ask, and their evidence')
  listOptions(reviews.command('list', { isDefault: true }))
    .description('campaigns, newest first')
    .option('--state <state>', 'draft, active or closed')
    .action(runs(list))
  reviews.command('show').argument('<campaign>').description('one of them').action(runs(show))
  listOptions(reviews.command('items').argument('<campaign>'))
    .description('what a campaign asks, the riskiest first')
    .option('--verdict <verdict>', 'undecided, certify, reduce, revoke or abstain')
    .option('--mine', 'those that you may decide')
    .action(runs(items))
  reviews
    .command('item')
    .argument('<campaign>')
    .argument('<item>')
    .description('one item: what it may, what it did, what is recommended')
    .action(runs(item))
  reviews
    .command('decide')
    .argument('<campaign>')
    .argument('<item>')
    .argument('<verdict>', 'certify, reduce, revoke or abstain')
    .description('decide an item; a reduce takes the recommended policy')
    .option('--revision <n>', 'the revision that was shown; without it, it is shown and asked here')
    .option('--reason <text>', 'why', '')
    .option('-y, --yes', 'without being asked; where nobody can be asked it needs --revision, too')
    .action(runs(decide))
  reviews
    .command('export')
    .argument('<campaign>')
    .argument('<file>')
    .description('its evidence pack, which countersign verify checks, or its report or table')
    .addOption(new Option('--as-form <form>', 'what').choices(Object.keys(forms)).default('pack'))
    .option('--recordings', 'a pack has the recordings of sessions that it cites, too')
    .action(runs(exportTo))
  const overlays = group(reviews, 'overlays', 'what decisions have the gateway forbid')
  listOptions(overlays.command('list', { isDefault: true }))
    .description('newest first')
    .option('--state <state>', 'proposed, applied, verified, failed, rejected or rolled-back')
    .action(runs(listOverlays))
  overlays.command('show').argument('<overlay>').description('one of them, whole').action(runs(showOne))
  for (const [name, about] of [
    ['apply', 'have it enforced: by an admin who did not decide it'],
    ['reject', 'don’t have it enforced'],
    ['roll-back', 'take it out again: two people say so'],
  ] as const)
    overlays
      .command(name)
      .argument('<overlay>')
      .description(about)
      .requiredOption('--reason <text>', 'why')
      .requiredOption('--digest <digest>', 'of its policy, as overlays show prints it')
      .option('--confirms <time>', 'of a roll-back: when the other admin asked for it, as overlays show prints it')
      .action(runs((context: Context, options: Answer, id: string) => answer(context, name, options, id)))
}

const campaignPath = (id: string) => `/v1/campaigns/${segment(id)}`
const itemPath = (campaign: string, id: string) => `${campaignPath(campaign)}/items/${segment(id)}`
const overlayPath = (id: string) => `/v1/overlays/${segment(id)}`

async function list(context: Context, options: ListOptions & { state?: string }): Promise<undefined> {
  await listed(context, options, Campaign, '/v1/campaigns', { state: options.state }, campaignTable)
}

async function show(context: Context, _options: object, id: string): Promise<undefined> {
  print(context, await gatewayIn(context).get(Campaign, campaignPath(id)), showCampaign)
}

async function items(
  context: Context,
  options: ListOptions & { verdict?: string; mine?: boolean },
  id: string,
): Promise<undefined> {
  const query = { verdict: options.verdict, mine: options.mine ? 'true' : undefined }
  await listed(context, options, CampaignItem, `${campaignPath(id)}/items`, query, itemTable)
}

async function item(context: Context, _options: object, campaign: string, id: string): Promise<undefined> {
  print(context, await gatewayIn(context).get(CampaignItemPage, itemPath(campaign, id)), showItem)
}

interface Deciding {
  revision?: string
  reason: string
  yes?: boolean
}

async function decide(
  context: Context,
  { revision, reason, yes = false }: Deciding,
  campaign: string,
  id: string,
  verdict: string,
): Promise<undefined | 1> {
  const { terminal } = context
  const known = ['certify', 'reduce', 'revoke', 'abstain'] as const
  const chosen = known.find((one) => one === verdict)
  if (!chosen) throw misuse(`an item is decided by ${known.join(', ')}`)
  if (chosen !== 'certify' && reason.trim() === '') throw misuse(`to ${chosen} needs --reason: it is read later`)
  if (!terminal.interactive && !(yes && revision !== undefined))
    throw misuse('nobody is here to be asked: decide by --yes with the --revision that was shown')
  if (revision !== undefined && !/^\d{1,9}$/.test(revision)) throw misuse('--revision takes a number')
  const gateway = gatewayIn(context)
  const page = await gateway.get(CampaignItemPage, itemPath(campaign, id))
  if (revision !== undefined && Number(revision) !== page.item.revision)
    throw misuse(`it has changed since it was shown: look at countersign reviews item ${shown(campaign)} ${shown(id)}`)
  if (terminal.interactive) {
    for (const line of showItem(page, terminal)) process.stderr.write(`${line}\n`)
    if (!yes && !(await terminal.confirm(`Decide ${chosen}?`))) {
      terminal.say('nothing was decided')
      return 1
    }
  }
  const decision: ItemDecisionRequest = {
    verdict: chosen,
    reason,
    revision: page.item.revision,
    evidenceOpened: ['terminal'],
  }
  const path = `${itemPath(campaign, id)}/decisions/${randomUUID()}`
  const answer = await gateway.post(ItemDecisionAnswer, path, decision, 'PUT')
  if (context.json) terminal.json(answer)
  const after = answer.item
  terminal.say(
    after.application === undefined
      ? `decided: ${after.verdict === 'undecided' ? `${chosen}; another stage follows` : after.verdict}`
      : `decided: ${after.verdict}; its application is ${after.application}, until an admin applies it`,
  )
  return undefined
}

async function exportTo(
  context: Context,
  { asForm, recordings = false }: { asForm: keyof typeof forms; recordings?: boolean },
  campaign: string,
  file: string,
): Promise<undefined> {
  if (recordings && asForm !== 'pack') throw misuse('only a pack has recordings')
  const path = `${campaignPath(campaign)}/${forms[asForm]}${recordings ? '?recordings=cited' : ''}`
  const bytes = await download(gatewayIn(context), path, file)
  if (context.json) context.terminal.json({ file, bytes })
  context.terminal.say(
    `${bytes} bytes written to ${shown(file)}${asForm === 'pack' ? ': countersign verify checks it' : ''}`,
  )
}

async function listOverlays(context: Context, options: ListOptions & { state?: string }): Promise<undefined> {
  await listed(context, options, Overlay, '/v1/overlays', { state: options.state }, overlayTable)
}

async function showOne(context: Context, _options: object, id: string): Promise<undefined> {
  print(context, await gatewayIn(context).get(Overlay, overlayPath(id)), showOverlay)
}

interface Answer {
  reason: string
  digest: string
  confirms?: string
}

async function answer(
  context: Context,
  how: 'apply' | 'reject' | 'roll-back',
  body: Answer,
  id: string,
): Promise<undefined | 1> {
  const { reason, digest, confirms } = body
  const after = await gatewayIn(context).post(Overlay, `${overlayPath(id)}/${how}`, {
    ...{ reason, digest },
    ...(confirms !== undefined && { confirms }),
  })
  if (context.json) context.terminal.json(after)
  if (after.state === 'failed') {
    context.terminal.say(`it failed: ${shown(after.failedBecause ?? 'the gate answered otherwise than it should')}`)
    return 1
  }
  const asked = how === 'roll-back' && after.state !== 'rolled-back'
  context.terminal.say(asked ? 'asked for; another admin must say it, too' : `it is ${after.state}`)
  return undefined
}

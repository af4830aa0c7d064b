import { Command } from 'cmdk'
import { Dialog } from 'radix-ui'
import { useMemo, useState } from 'react'
import { oneLine } from '../../visible.ts'
import { AgentOn } from '../parts/agent-on.tsx'
import { EnvironmentTag, foremostTag, Key } from '../parts/basics.tsx'
import { shortWhen } from '../parts/time.ts'
import { VisibleText } from '../parts/visible-text.tsx'
import { fitting, noFilter } from '../screens/access/filters.ts'
import { stateWords } from '../screens/access/words.ts'
import { agentText } from '../screens/agents/filters.ts'
import { freezeActions } from '../screens/agents/freeze-actions.ts'
import { showOutbox } from '../screens/outbox/open.ts'
import { headline } from '../screens/queue/words.ts'
import { useAccess } from './access.ts'
import { useAgents } from './agents.ts'
import { isAdmin, useDuty } from './duty.ts'
import { offeredFormats, startExport } from './exporting.ts'
import { pressKey } from './keys.ts'
import { keep, useLibrary } from './library.ts'
import { go, useRoute } from './route.ts'
import { core, saveSettings, say, useWorld } from './store.ts'

interface Action {
  readonly name: string
  readonly words?: string
  readonly keys?: readonly string[]
  run(): void
}

const MOST = 20

/** Every screen and every action by name, and everything held or recorded by its words. */
export function Palette(props: { open: boolean; onOpenChange: (open: boolean) => void; onKeys: () => void }) {
  return (
    <Dialog.Root open={props.open} onOpenChange={props.onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Content
          aria-describedby={undefined}
          onCloseAutoFocus={(event) => event.preventDefault()}
          className="fixed top-[12vh] left-1/2 w-[min(640px,92vw)] -translate-x-1/2 overflow-hidden rounded-box border border-line bg-panel shadow-box"
        >
          <Dialog.Title className="sr-only">Find anything, do anything</Dialog.Title>
          <Contents close={() => props.onOpenChange(false)} onKeys={props.onKeys} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

function Contents({ close, onKeys }: { close: () => void; onKeys: () => void }) {
  const [words, setWords] = useState('')
  const actions = useActions(onKeys)
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
  const fits = (text: string) => wanted.every((word) => text.toLowerCase().includes(word))
  const found = useFound(words)
  const here = actions
    .filter((action) => fits(`${action.name} ${action.words ?? ''}`))
    .sort((a, b) => farness(a.name, wanted) - farness(b.name, wanted))
  const after = (run: () => void) => () => {
    close()
    // After the dialog has gone: keys and focus belong to the screen again.
    setTimeout(run, 0)
  }
  const item =
    'flex h-9 items-center gap-3 rounded-box px-3 aria-selected:bg-accent-pale data-[selected=true]:bg-accent-pale'
  return (
    <Command label="Find anything, do anything" shouldFilter={false} loop>
      <Command.Input
        value={words}
        onValueChange={setWords}
        placeholder="Find anything, do anything"
        className="h-12 w-full border-b border-line bg-transparent px-4 text-head outline-none"
      />
      <Command.List className="max-h-[52vh] overflow-y-auto p-2">
        <Command.Empty className="p-6 text-center text-dim">Nothing is called that.</Command.Empty>
        {here.length > 0 ? (
          <Command.Group heading={<Heading>Do</Heading>}>
            {here.map((action) => (
              <Command.Item key={action.name} value={action.name} onSelect={after(action.run)} className={item}>
                <span className="flex-1">{action.name}</span>
                {action.keys?.map((key, i) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: g g is the same key twice
                  <Key key={i}>{key}</Key>
                ))}
              </Command.Item>
            ))}
          </Command.Group>
        ) : null}
        {found.approvals.length > 0 ? (
          <Command.Group heading={<Heading>Held and decided</Heading>}>
            {found.approvals.map((approval) => (
              <Command.Item
                key={approval.id}
                value={approval.id}
                onSelect={after(() => go({ screen: 'queue', id: approval.id }))}
                className={item}
              >
                <span className="min-w-0 flex-1 truncate font-mono text-fine">
                  <VisibleText>{oneLine(headline(approval))}</VisibleText>
                </span>
                <span className="max-w-48 truncate text-dim">
                  {approval.identity.name} · {approval.state}
                </span>
                <Environment tags={approval.connectionTags} />
              </Command.Item>
            ))}
          </Command.Group>
        ) : null}
        {found.agents.length > 0 ? (
          <Command.Group heading={<Heading>Agents</Heading>}>
            {found.agents.map((agent) => (
              <Command.Item
                key={agent.id}
                value={agent.id}
                onSelect={after(() => go({ screen: 'agents', id: agent.id }))}
                className={item}
              >
                <span className="min-w-0 flex-1 truncate font-mono text-fine">
                  <VisibleText>{agent.name}</VisibleText>
                </span>
                <span className="text-dim">
                  {agent.state === 'disabled' ? 'disabled' : agent.orphan ? 'nobody answers for it' : 'active'}
                </span>
              </Command.Item>
            ))}
          </Command.Group>
        ) : null}
        {found.grants.length > 0 ? (
          <Command.Group heading={<Heading>Access</Heading>}>
            {found.grants.map((grant) => (
              <Command.Item
                key={grant.id}
                value={grant.id}
                onSelect={after(() => go({ screen: 'access', id: grant.id }))}
                className={item}
              >
                <span className="min-w-0 flex-1 truncate font-mono text-fine">
                  <AgentOn agent={grant.identity.name} connection={grant.connection} />
                </span>
                <span className="max-w-64 truncate text-dim">
                  {stateWords(grant).word} · <VisibleText>{oneLine(grant.purpose, 60)}</VisibleText>
                </span>
                <Environment tags={grant.connectionTags} />
              </Command.Item>
            ))}
          </Command.Group>
        ) : null}
        {found.sessions.length > 0 ? (
          <Command.Group heading={<Heading>Sessions</Heading>}>
            {found.sessions.map((session) => (
              <Command.Item
                key={session.id}
                value={session.id}
                onSelect={after(() => go({ screen: 'replay', id: session.id }))}
                className={item}
              >
                <span className="min-w-0 flex-1 truncate font-mono text-fine">
                  <AgentOn agent={session.identity.name} connection={session.connection} />
                </span>
                <span className="text-dim">
                  {session.state} · {shortWhen(session.openedAt, Date.now())}
                </span>
                <Environment tags={session.connectionTags} />
              </Command.Item>
            ))}
          </Command.Group>
        ) : null}
      </Command.List>
    </Command>
  )
}

/** How far a name is from the words: 0 begins with each of them, 1 has them in it, 2 only means the same. */
function farness(name: string, wanted: readonly string[]): number {
  const named = name.toLowerCase()
  const begins = named.split(/\s+/)
  if (wanted.every((word) => begins.some((begin) => begin.startsWith(word)))) return 0
  return wanted.every((word) => named.includes(word)) ? 1 : 2
}

function Heading({ children }: { children: string }) {
  return (
    <span className="block px-3 pt-2 pb-1 text-tag font-semibold tracking-wide text-dim uppercase">{children}</span>
  )
}

function Environment({ tags }: { tags: readonly string[] }) {
  const tag = foremostTag(tags)
  return tag ? <EnvironmentTag tag={tag} brief /> : null
}

/** What can be done here and now; actions of a screen are its keys, so both ways do the same. */
function useActions(onKeys: () => void): Action[] {
  const route = useRoute()
  const settings = useWorld((world) => world.settings)
  const capabilities = useWorld((world) => world.capabilities)
  const shown = 'id' in route ? route.id : undefined
  const asked = useWorld((world) => Boolean(shown && world.approvals.get(shown)?.access))
  const pinned = useLibrary((library) => Boolean(shown && library?.items.get(shown)?.pinnedAt))
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const connections = useDuty((known) => known.connections)
  const freezing = freezeActions(connections, isAdmin(me) && live)
  const theme = (next: 'system' | 'light' | 'dark') => () =>
    void saveSettings({ ...settings, theme: next }).catch(() => say('The setting could not be saved'))
  const key = (name: string, words: string, press: string, shown = press.toUpperCase()): Action => ({
    name,
    words,
    keys: [shown],
    run: () => pressKey(press),
  })
  const here: Action[] = []
  if (route.screen === 'queue' && route.id) {
    // What decides nothing stands first: Enter alone chooses that, and no verdict.
    here.push(
      key('Replay its session', 'recording play', 'r'),
      key(asked ? 'Copy the request' : 'Copy the command', 'clipboard', 'c'),
      key(`Deny this ${asked ? 'request' : 'command'}`, 'no refuse', 'd'),
      key(`Approve this ${asked ? 'request' : 'command'}`, 'yes allow', 'a'),
    )
  }
  if (route.screen === 'queue') here.push(key('Filter the queue', 'search find', '/'))
  if (route.screen === 'sessions' && route.id) here.push(key('Replay this session', 'recording play', 'r'))
  if ((route.screen === 'sessions' || route.screen === 'replay') && route.id) {
    const { id } = route
    here.push({
      name: pinned ? 'Stop keeping this session' : 'Keep this session on this computer',
      words: 'pin unpin offline library download',
      keys: ['P'],
      run: () => void keep([id], !pinned),
    })
    for (const { id: format, name, says } of offeredFormats(capabilities))
      here.push({
        name: `Export as ${name.toLowerCase()}`,
        words: `${format} ${says} save file`,
        run: () => void startExport(id, format),
      })
  }
  if (route.screen === 'sessions' || route.screen === 'replay')
    here.push(key('End this session', 'terminate kill stop', 'x'))
  if (route.screen === 'replay')
    here.push(
      key('Play or pause', 'start stop', ' ', 'Space'),
      key('Annotate this moment', 'note write', 'n'),
      key('Begin a range for a note', 'mark from', 'm'),
      key('Notes or steps beside the transcript', 'list annotations', 't'),
      key('Next marker', 'jump', ']'),
      key('Find in this recording', 'search', '/'),
      key('Skip idle time', 'gaps', 'i'),
      key('The whole width for the replay', 'full screen wide list', 'f'),
      key('Copy the whole transcript', 'clipboard', 'y'),
    )
  if (route.screen === 'sessions') here.push(key('Find sessions', 'search', '/'))
  if (route.screen === 'access')
    here.push(
      key('Ask for access', 'request grant new', 'n'),
      key('Extend this grant', 'prolong longer', 'e'),
      key('Revoke this grant', 'end take away', 'x'),
      key('The card it was decided on', 'queue approval', 'o'),
      key('Sort grants by end, or by request', 'order', 's'),
      key('Find grants', 'search filter', '/'),
    )
  if (route.screen === 'agents' && !route.part)
    here.push(
      key('Edit who answers for this agent', 'sponsor owner purpose environment change', 'e'),
      key('Disable or enable this agent', 'stop block', 'x'),
      key('Declare an agent', 'new register', 'n'),
      key('Permitted against used', 'matrix picture may did', 'm'),
      key('Find agents', 'search filter', '/'),
    )
  if (route.screen === 'policy')
    here.push(
      key('New draft of the policy', 'write change edit', 'n'),
      key('Backtest a draft', 'replay past what would change', 'b'),
      key('Find in policy', 'search filter', '/'),
    )
  if (route.screen === 'policy' && route.part === 'overlays')
    here.push(
      key('Apply this overlay', 'enforce second pair of eyes', 'a'),
      key('Reject this overlay', 'no refuse', 'd'),
      key('Roll this overlay back', 'undo take out', 'u'),
    )
  if (route.screen === 'reviews' && route.item && !route.part)
    here.push(
      key('Replay the first command that is cited', 'recording evidence', 'r'),
      key('Next undecided item', 'jump', 'n'),
      key('Comment on this item', 'note say', 'm'),
      key('Reassign or delegate this item', 'move somebody else', 'e'),
      key('Abstain from this item', 'skip', 'b'),
      key('Revoke this access', 'take away remove', 'v'),
      key('Reduce this access', 'tighter least privilege', 'u'),
      key('Certify this access', 'keep confirm yes', 'c'),
    )
  if (route.screen === 'reviews' && route.id && !route.part)
    here.push(key('Find items', 'search filter', '/'), key('Choose this item', 'select bulk together', 'x'))
  if (route.screen === 'reviews' && !route.id && !route.part)
    here.push(key('Make a campaign', 'new review recertification', 'a'))
  if (route.screen === 'integrity')
    here.push(
      key('Open a bundle and verify it', 'drop file evidence', 'o'),
      key('Look at the log again', 'verify check witness', 'v'),
    )
  return [
    ...here,
    { name: 'Go to Queue', words: 'held approvals', keys: ['G', 'Q'], run: () => go({ screen: 'queue' }) },
    { name: 'Go to Sessions', words: 'recordings', keys: ['G', 'S'], run: () => go({ screen: 'sessions' }) },
    {
      name: 'Go to Reviews',
      words: 'campaigns certify recertification items',
      keys: ['G', 'R'],
      run: () => go({ screen: 'reviews' }),
    },
    {
      name: 'Templates of campaigns',
      words: 'reviews cadence triggers schedule',
      run: () => go({ screen: 'reviews', part: 'templates' }),
    },
    {
      name: 'Go to Access',
      words: 'grants just in time jit plans who had access',
      keys: ['G', 'A'],
      run: () => go({ screen: 'access' }),
    },
    {
      name: 'Go to Agents',
      words: 'registry identities sponsor owner orphans permitted used',
      keys: ['G', 'G'],
      run: () => go({ screen: 'agents' }),
    },
    {
      name: 'Go to Policy',
      words: 'cedar rules in force permit forbid',
      keys: ['G', 'Y'],
      run: () => go({ screen: 'policy' }),
    },
    {
      name: 'History of the policy',
      words: 'versions who changed diff',
      run: () => go({ screen: 'policy', part: 'history' }),
    },
    {
      name: 'Drafts of the policy',
      words: 'edit write tests validator',
      run: () => go({ screen: 'policy', part: 'drafts' }),
    },
    {
      name: 'Backtests',
      words: 'policy replay past newly denied held allowed',
      run: () => go({ screen: 'policy', part: 'backtests' }),
    },
    {
      name: 'Overlays of reviews',
      words: 'policy reduce revoke apply reject roll back waiting export',
      run: () => go({ screen: 'policy', part: 'overlays' }),
    },
    {
      name: 'Connections and freezes',
      words: 'frozen environments',
      run: () => go({ screen: 'agents', part: 'connections' }),
    },
    {
      name: 'Uses of break-glass',
      words: 'emergency review justified',
      run: () => go({ screen: 'agents', part: 'break-glass' }),
    },
    {
      name: 'Who could do what then',
      words: 'access at a time past tuesday review csv',
      run: () => go({ screen: 'agents', part: 'past' }),
    },
    ...freezing,
    {
      name: 'Hand over my duty while I am away',
      words: 'delegation delegate holiday absence away',
      run: () => go({ screen: 'settings' }),
    },
    {
      name: 'Go to Integrity',
      words: 'ledger log checkpoints witness bundle verify evidence key pin cosign',
      keys: ['G', 'I'],
      run: () => go({ screen: 'integrity' }),
    },
    {
      name: 'Go to Settings',
      words: 'preferences gateway notifications',
      keys: ['G', ','],
      run: () => go({ screen: 'settings' }),
    },
    { name: 'Colours: as the system', words: 'theme appearance', run: theme('system') },
    { name: 'Colours: light', words: 'theme appearance', run: theme('light') },
    { name: 'Colours: dark', words: 'theme appearance', run: theme('dark') },
    { name: 'What waits to be sent', words: 'outbox notes refused conflicts', run: () => showOutbox() },
    { name: 'Show keys', words: 'help shortcuts', keys: ['?'], run: onKeys },
    { name: 'Sign out', words: 'log out leave', run: () => void core().call('signOut', {}) },
  ]
}

function useFound(words: string) {
  const approvals = useWorld((world) => world.approvals)
  const sessions = useWorld((world) => world.sessions)
  const agents = useAgents((known) => known.agents)
  const grants = useAccess((known) => known.grants)
  return useMemo(() => {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
    if (wanted.length === 0) return { approvals: [], sessions: [], agents: [], grants: [] }
    const all = (text: string) => wanted.every((word) => text.includes(word))
    return {
      approvals: take(approvals.values(), (a) =>
        all(
          `${a.id} ${a.access?.title ?? ''} ${a.command.text} ${a.identity.name} ${a.connection} ${a.state}`.toLowerCase(),
        ),
      ),
      sessions: take(sessions.values(), (s) =>
        all(`${s.id} ${s.identity.name} ${s.connection} ${s.purpose ?? ''} ${s.state}`.toLowerCase()),
      ),
      agents: take(agents.values(), (agent) => all(agentText(agent))),
      grants: take(grants.values(), fitting({ ...noFilter, text: words })),
    }
  }, [approvals, sessions, agents, grants, words])
}

function take<T>(items: Iterable<T>, fits: (item: T) => boolean): T[] {
  const found: T[] = []
  for (const item of items) {
    if (!fits(item)) continue
    found.push(item)
    if (found.length === MOST) break
  }
  return found
}

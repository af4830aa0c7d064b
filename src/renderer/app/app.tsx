import { Tooltip } from 'radix-ui'
import { useEffect, useState } from 'react'
import { Button, Notice } from '../parts/basics.tsx'
import { Access } from '../screens/access/access.tsx'
import { Agents } from '../screens/agents/agents.tsx'
import { FreezeDialogs } from '../screens/agents/freeze.tsx'
import { Integrity } from '../screens/integrity/integrity.tsx'
import { Outbox } from '../screens/outbox/outbox.tsx'
import { Policy } from '../screens/policy/policy.tsx'
import { Queue } from '../screens/queue/queue.tsx'
import { Reviews } from '../screens/reviews/reviews.tsx'
import { Sessions } from '../screens/sessions/sessions.tsx'
import { Settings } from '../screens/settings/settings.tsx'
import { SignIn } from '../screens/sign-in/sign-in.tsx'
import { ExportNotes } from './export-notes.tsx'
import { Footer } from './footer.tsx'
import { FreezeBanner } from './freeze-banner.tsx'
import { Header } from './header.tsx'
import { useKeys } from './keys.ts'
import { KeysOverlay } from './keys-overlay.tsx'
import { Navigation } from './navigation.tsx'
import { OverlayBanner } from './overlay-banner.tsx'
import { Palette } from './palette.tsx'
import { go, useRoute } from './route.ts'
import { useConsole, useWorld } from './store.ts'
import { WitnessBanner } from './witness-banner.tsx'

/** The whole console: what can't be shown says why, then sign-in, then the screens. */
export function App() {
  const failure = useConsole((state) => state.failure)
  const link = useConsole((state) => state.world?.link.state)
  const theme = useConsole((state) => state.world?.settings.theme ?? 'system')
  useEffect(() => {
    if (theme === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme
  }, [theme])
  if (failure)
    return (
      <main className="h-full">
        <h1 className="sr-only">Countersign</h1>
        <Notice title="Countersign can’t start" role="alert">
          <p>{failure}</p>
          <Button onClick={() => location.reload()}>Try again</Button>
        </Notice>
      </main>
    )
  if (link === undefined)
    return (
      <main className="h-full">
        <h1 className="sr-only">Countersign</h1>
        <Notice title="Opening the console…" role="status" />
      </main>
    )
  return (
    <Tooltip.Provider delayDuration={400}>
      <Said />
      {link === 'signed-out' || link === 'signing-in' ? <SignIn /> : <Frame />}
    </Tooltip.Provider>
  )
}

function Frame() {
  const route = useRoute()
  const stale = useWorld((world) => world.link.state !== 'live')
  const [palette, setPalette] = useState(false)
  const [overlay, setOverlay] = useState(false)
  useKeys({
    'mod+k': () => {
      setOverlay(false)
      setPalette((open) => !open)
    },
    '?': () => setOverlay(true),
    'g q': () => go({ screen: 'queue' }),
    'g s': () => go({ screen: 'sessions' }),
    'g r': () => go({ screen: 'reviews' }),
    'g a': () => go({ screen: 'access' }),
    'g g': () => go({ screen: 'agents' }),
    'g y': () => go({ screen: 'policy' }),
    'g i': () => go({ screen: 'integrity' }),
    'g ,': () => go({ screen: 'settings' }),
  })
  return (
    <div className="grid h-full grid-cols-[auto_minmax(0,1fr)] grid-rows-[40px_auto_minmax(0,1fr)_28px]">
      <Header onPalette={() => setPalette(true)} />
      <div className="col-span-2">
        <WitnessBanner />
        <FreezeBanner />
        <OverlayBanner />
      </div>
      <Navigation route={route} />
      <main data-stale={stale || undefined} className="min-h-0 min-w-0 text-ink">
        {route.screen === 'queue' ? <Queue id={route.id} /> : null}
        {route.screen === 'sessions' || route.screen === 'replay' ? <Sessions route={route} /> : null}
        {route.screen === 'reviews' ? <Reviews route={route} /> : null}
        {route.screen === 'access' ? <Access id={route.id} /> : null}
        {route.screen === 'agents' ? <Agents route={route} /> : null}
        {route.screen === 'policy' ? <Policy route={route} /> : null}
        {route.screen === 'integrity' ? <Integrity id={route.id} /> : null}
        {route.screen === 'settings' ? <Settings /> : null}
      </main>
      <Footer screen={route.screen} onKeys={() => setOverlay(true)} />
      <ExportNotes />
      <Palette open={palette} onOpenChange={setPalette} onKeys={() => setOverlay(true)} />
      <Outbox />
      <FreezeDialogs />
      <KeysOverlay open={overlay} onOpenChange={setOverlay} screen={route.screen} />
    </div>
  )
}

/** What screen readers are told: new holds, how decisions went, what the link does. */
function Said() {
  const said = useConsole((state) => state.said)
  return (
    <div aria-live="polite" role="status" className="sr-only">
      {said}
    </div>
  )
}

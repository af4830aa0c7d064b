import '@fontsource-variable/inter/index.css'
import '@fontsource-variable/jetbrains-mono/index.css'
import './styles/app.css'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { consoleApi, wordsOf } from './app/api.ts'
import { App } from './app/app.tsx'
import { heedNotifications } from './app/notifications.ts'
import { go, parseRoute } from './app/route.ts'
import { connect, coreIsGone, useConsole } from './app/store.ts'

const HEARTBEAT_MS = 2000

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App />
  </StrictMode>,
)

try {
  const api = await consoleApi()
  connect(api, (event) => {
    heedNotifications(event)
    if (event.type === 'open') go(parseRoute(event.target))
  })
  const tellFocus = () => void api.call('windowFocus', { focused: document.hasFocus() }).catch(coreIsGone)
  window.addEventListener('focus', tellFocus)
  window.addEventListener('blur', tellFocus)
  // Also a heartbeat: where the core has gone away nobody is left to say so, and the page would go on to say “live”.
  setInterval(tellFocus, HEARTBEAT_MS)
  tellFocus()
} catch (error) {
  useConsole.setState({ failure: wordsOf(error) })
}

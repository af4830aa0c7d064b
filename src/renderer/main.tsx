import '@fontsource-variable/inter/index.css'
import '@fontsource-variable/jetbrains-mono/index.css'
import './styles/app.css'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { consoleApi, wordsOf } from './app/api.ts'
import { App } from './app/app.tsx'
import { heedNotifications } from './app/notifications.ts'
import { go, parseRoute } from './app/route.ts'
import { connect, useConsole } from './app/store.ts'

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
  const tellFocus = () => void api.call('windowFocus', { focused: document.hasFocus() }).catch(() => {})
  window.addEventListener('focus', tellFocus)
  window.addEventListener('blur', tellFocus)
  tellFocus()
} catch (error) {
  useConsole.setState({ failure: wordsOf(error) })
}

/**
 * `node --import …/register.ts out/main/main.js` runs the built desktop shell on the double of Electron's API beside
 * this file, where Electron's own binary is absent.
 */
import { registerHooks } from 'node:module'

registerHooks({
  resolve(specifier, context, next) {
    if (specifier !== 'electron') return next(specifier, context)
    return { url: new URL('./electron.ts', import.meta.url).href, shortCircuit: true }
  },
})

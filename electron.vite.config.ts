import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'electron-vite'

/** Where it is built to; tests build beside what a running console is served from. */
const out = process.env.COUNTERSIGN_OUT ?? 'out'

/**
 * Builds the desktop shell (out/main/main.js), its preload (out/preload/preload.cjs: a sandboxed preload can't be a
 * module) and the renderer, which the browser shell serves too. What package.json lists under dependencies stays
 * outside of the bundles, better-sqlite3 with its prebuilt binaries first of all.
 */
export default defineConfig({
  main: {
    build: {
      outDir: `${out}/main`,
      lib: { entry: 'src/main/electron/main.ts', formats: ['es'] },
      rollupOptions: { output: { entryFileNames: 'main.js' } },
    },
  },
  preload: {
    build: {
      outDir: `${out}/preload`,
      externalizeDeps: false,
      lib: { entry: 'src/preload/preload.ts', formats: ['cjs'] },
      rollupOptions: { output: { entryFileNames: 'preload.cjs' } },
    },
  },
  renderer: {
    root: 'src/renderer',
    base: '/',
    plugins: [react(), tailwindcss()],
    build: {
      outDir: `${out}/renderer`,
      // The content security policy has no place for scripts in the page, nor for fonts in addresses.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      rollupOptions: { input: 'src/renderer/index.html' },
    },
  },
})

import { resolve } from 'node:path'
import tailwind from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

/** The renderer alone, on a made-up world: `npx vite --config src/renderer/testing/vite.config.ts`, then /testing/dev.html. */
export default defineConfig({
  root: resolve(import.meta.dirname, '..'),
  plugins: [react(), tailwind()],
  build: {
    outDir: '/tmp/countersign-renderer',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: 'esnext',
    rollupOptions: { input: resolve(import.meta.dirname, 'dev.html') },
  },
})

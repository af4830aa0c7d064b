import { Counter, Gauge, type Registry } from 'prom-client'

/** What is counted of overlays. */
export interface OverlayMetrics {
  /** By what was done: proposed, applied, verified, failed, rejected, rolled-back, retired. */
  changes: Counter<'result'>
}

/** @param inForce how many are in force now */
export function overlayMetrics(registry: Registry, inForce: () => number): OverlayMetrics {
  const names = { changes: 'countersign_overlay_changes_total', inForce: 'countersign_overlays_in_force' }
  for (const name of Object.values(names)) registry.removeSingleMetric(name)
  new Gauge({
    name: names.inForce,
    help: 'Overlays of reviews that are in force',
    registers: [registry],
    collect() {
      this.set(inForce())
    },
  })
  return {
    changes: new Counter({
      name: names.changes,
      help: 'What was done with overlays of reviews; failed ones do not do what they say',
      labelNames: ['result'],
      registers: [registry],
    }),
  }
}

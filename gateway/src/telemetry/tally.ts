import type { Metric, Registry } from 'prom-client'

/**
 * Counts and times what happens for every command. prom-client puts the labels of each call into a string and looks that
 * up, which costs more than the policy's decision does; here a label's values are found once.
 */
abstract class Tally<Series> {
  readonly #series = new Map<string, { labels: Record<string, string>; series: Series }>()
  readonly #name: string
  readonly #help: string
  readonly #type: 'counter' | 'histogram'

  constructor(registry: Registry, name: string, help: string, type: 'counter' | 'histogram') {
    this.#name = name
    this.#help = help
    this.#type = type
    // What a registry asks of a metric is `get` alone.
    registry.registerMetric(this as unknown as Metric)
  }

  get name(): string {
    return this.#name
  }

  /** What the registry shows. */
  async get() {
    const values = [...this.#series.values()].flatMap(({ labels, series }) => this.shown(series, labels))
    return { name: this.#name, help: this.#help, type: this.#type, aggregator: 'sum', values }
  }

  /** The series of these labels, to be kept by whoever counts into it often. */
  of(labels: Record<string, string>): Series {
    const key = JSON.stringify(Object.entries(labels))
    let known = this.#series.get(key)
    if (!known) {
      known = { labels, series: this.fresh() }
      this.#series.set(key, known)
    }
    return known.series
  }

  protected abstract fresh(): Series
  protected abstract shown(series: Series, labels: Record<string, string>): Shown[]
}

interface Shown {
  metricName?: string
  labels: Record<string, string | number>
  value: number
}

/** A counter in Prometheus' sense. */
export class Counts extends Tally<{ count: number }> {
  constructor(registry: Registry, name: string, help: string) {
    super(registry, name, help, 'counter')
  }

  protected fresh() {
    return { count: 0 }
  }

  protected shown({ count }: { count: number }, labels: Record<string, string>): Shown[] {
    return [{ labels, value: count }]
  }
}

/** How often something took how long. */
export class Duration {
  readonly bounds: readonly number[]
  /** By the smallest bound that holds it; the last for what is above them all. */
  readonly within: number[]
  sum = 0

  /** @param bounds seconds, rising */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.within = new Array(bounds.length + 1).fill(0)
  }

  observe(seconds: number): void {
    const { bounds } = this
    let at = 0
    while (at < bounds.length && seconds > bounds[at]!) at++
    this.within[at]!++
    this.sum += seconds
  }
}

/** A histogram in Prometheus' sense, of seconds. */
export class Durations extends Tally<Duration> {
  readonly #name: string
  readonly #bounds: readonly number[]

  constructor(registry: Registry, name: string, help: string, bounds: readonly number[]) {
    super(registry, name, help, 'histogram')
    this.#name = name
    this.#bounds = bounds
  }

  protected fresh() {
    return new Duration(this.#bounds)
  }

  protected shown({ bounds, within, sum }: Duration, labels: Record<string, string>): Shown[] {
    let count = 0
    const buckets = within.map((n, at) => {
      count += n
      return { metricName: `${this.#name}_bucket`, labels: { ...labels, le: bounds[at] ?? '+Inf' }, value: count }
    })
    return [
      ...buckets,
      { metricName: `${this.#name}_sum`, labels, value: sum },
      { metricName: `${this.#name}_count`, labels, value: count },
    ]
  }
}

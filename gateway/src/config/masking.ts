import type { DetectedKind } from '../masking/detectors.ts'
import type { MaskingStyle } from '../masking/style.ts'
import type { ConnectionConfig, GatewayConfig } from './schema.ts'

/** The masking of one connection: what the file says of all connections and of this one, put together. */
export interface LoadedMasking {
  /** The style of classes that have none of their own. */
  style: MaskingStyle
  classes: ReadonlyMap<string, MaskingStyle>
  detect: readonly DetectedKind[]
}

/**
 * What is said of a connection goes before what is said of all: first its own style of the class, then its own style,
 * then the style of the class everywhere, then the style. A list of detectors replaces the other list.
 */
export function maskingOf(
  { masking: all }: Pick<GatewayConfig, 'masking'>,
  { masking: own }: Pick<ConnectionConfig, 'masking'>,
): LoadedMasking {
  const inherited = own.style === undefined ? Object.entries(all.classes) : []
  return {
    style: own.style ?? all.style,
    classes: new Map([...inherited, ...Object.entries(own.classes)]),
    detect: [...new Set(own.detect ?? all.detect)],
  }
}

/** The style of a class by these rules. */
export function styleOf({ style, classes }: LoadedMasking, dataClass: string): MaskingStyle {
  return classes.get(dataClass) ?? style
}

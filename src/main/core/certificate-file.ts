import { readFileSync } from 'node:fs'

/**
 * A certificate (PEM) that a person names to be trusted.
 * @throws Error when it can't be read, or is none
 */
export function readCertificate(file: string): string {
  let pem: string
  try {
    pem = readFileSync(file, 'utf8')
  } catch (error) {
    throw new Error(`The certificate ${file} can't be read (${(error as NodeJS.ErrnoException).code}).`)
  }
  if (!pem.includes('-----BEGIN CERTIFICATE-----'))
    throw new Error(`${file} is no certificate in PEM form: it has no “BEGIN CERTIFICATE” line.`)
  return pem
}

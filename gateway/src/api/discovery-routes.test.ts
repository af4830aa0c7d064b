import { hostname } from 'node:os'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import type { ApiOptions } from './api.ts'
import { reached } from './discovery-routes.ts'
import { startWorld, type World } from './testing/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const listeners = {
  postgres: { host: '0.0.0.0', port: 7432 },
  ssh: { host: '127.0.0.1', port: 7422 },
  http: { host: '::1', port: 7443 },
}

describe('what clients are told', () => {
  const told = async (options: Partial<ApiOptions>) => {
    await using api = await world.serve(options)
    const get = async (name: string) => (await fetch(`http://${api.address}/.well-known/${name}`)).json()
    const [endpoints, server, resource] = await Promise.all([
      get('countersign'),
      get('oauth-authorization-server'),
      get('oauth-protected-resource'),
    ])
    return { api: `http://${api.address}`, endpoints, server, resource }
  }

  it('is where it listens, where nobody says how others reach it', async () => {
    const { api, endpoints, server, resource } = await told({
      listeners: { ...listeners, tls: false, sshHostKey: 'ssh-ed25519 AAAA' },
    })
    const ssh = { ssh: '127.0.0.1:7422', ssh_host_key: 'ssh-ed25519 AAAA' }
    const hosts = { postgres: `${hostname()}:7432`, ...ssh, http: '[::1]:7443' }
    expect(endpoints).toEqual({ api, token_endpoint: `${api}/v1/token`, ...hosts, tls: false })
    expect(server).toMatchObject({ issuer: api, revocation_endpoint: `${api}/v1/token/revoke` })
    expect(resource).toMatchObject({ resource: api })
  })

  it('is how others reach it, where that is said', async () => {
    const url = 'https://gw.example.com/countersign/'
    const { endpoints, server } = await told({ url, listeners: { ...listeners, tls: true } })
    const api = 'https://gw.example.com/countersign'
    const hosts = { postgres: 'gw.example.com:7432', ssh: 'gw.example.com:7422', http: 'gw.example.com:7443' }
    expect(endpoints).toEqual({ api, token_endpoint: `${api}/v1/token`, ...hosts, tls: true })
    expect(server).toMatchObject({ issuer: api, token_endpoint: `${api}/v1/token` })
  })

  it('leaves out what doesn’t listen, and issuers that people can’t sign in by', async () => {
    const { api, endpoints, resource } = await told({ issuers: () => [] })
    expect(endpoints).toEqual({ api, token_endpoint: `${api}/v1/token`, tls: false })
    expect(resource).toMatchObject({ authorization_servers: [api] })
  })
})

test.each([
  [{ host: '127.0.0.1', port: 1 }, undefined, '127.0.0.1'],
  [{ host: '::', port: 1 }, undefined, hostname()],
  [{ host: '10.0.0.1', port: 1 }, 'https://gw.example.com:8443', 'gw.example.com'],
  [{ host: '10.0.0.1', port: 1 }, 'https://[2001:db8::1]', '2001:db8::1'],
])('%o with %s is reached at %s', (address, url, host) => {
  expect(reached(address, url)).toMatchObject({ host, port: 1 })
})

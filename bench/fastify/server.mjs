// The routes that are compared, on Fastify with the middleware of a usual service: node server.mjs PORT SECRET BODY_FILE SCHEMA_FILE
import { readFileSync } from 'node:fs'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import jwt from '@fastify/jwt'
import rateLimit from '@fastify/rate-limit'
import Fastify from 'fastify'

const [port, secret, bodyFile, schemaFile] = process.argv.slice(2)
const started = Date.now()
const app = Fastify({ logger: false, ajv: { customOptions: { strict: false, allErrors: true } } })
await app.register(helmet)
await app.register(cors, { origin: 'https://app.example.com' })
await app.register(rateLimit, { max: 1_000_000_000, timeWindow: 60_000 })
await app.register(jwt, { secret })

app.get('/health', async () => ({
  status: 'ok', timestamp: new Date().toISOString(), uptime: (Date.now() - started) / 1000, version: 'v1',
}))

// A finished answer by the body that it is for, as an LRU cache has it: the object, which is written out for each request.
const answers = new Map()
const answer = JSON.parse(readFileSync(bodyFile, 'utf8'))
const body = JSON.parse(readFileSync(schemaFile, 'utf8'))

app.post('/api/review/:id/generate-questions', {
  schema: { body },
  preHandler: async (request) => { await request.jwtVerify() },
}, async (request) => {
  const key = JSON.stringify(request.body)
  let known = answers.get(key)
  if (known === undefined) {
    known = answer
    answers.set(key, known)
  }
  known.data.generationMetadata.timestamp = new Date().toISOString()
  return known
})

await app.listen({ port: Number(port), host: '127.0.0.1' })
console.log('ready')

// NestJS with its Fastify adapter. The plugin is registered on the Fastify instance, and asks a service of NestJS.

import 'reflect-metadata'
import { UnauthorizedException } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import batchCancel, { forwardToProviders, openai } from 'fastify-batch-cancel'
import { AppModule, Users } from './app.module.js'

const apiKey = process.env['OPENAI_API_KEY'] as string
const baseUrl = process.env['OPENAI_BASE_URL'] ?? 'https://api.openai.com/v1'

const adapter = new FastifyAdapter({ routerOptions: { maxParamLength: 512 } })
export const app = await NestFactory.create<NestFastifyApplication>(AppModule, adapter)
const users = app.get(Users)

await app.register(batchCancel, {
  // The global prefix of NestJS does not apply to plugins; this is Fastify's own.
  prefix: '/llm',
  defaultProvider: 'openai',
  forward: forwardToProviders({ providers: { openai: openai({ apiKey, baseUrl }) } }),
  portkeyConfig: false,
  routeOptions: {
    // Neither do guards, so this hook asks the service that they would ask.
    onRequest: async ({ headers }) => {
      if (!users.mayCancel(headers.authorization)) throw new UnauthorizedException()
    }
  }
})
await app.listen(Number(process.env['PORT'] ?? 3000))

import { Controller, Get, Injectable, Module } from '@nestjs/common'

// In a real app: a database.
@Injectable()
export class Users {
  mayCancel (authorization: string | undefined): boolean {
    return authorization === 'Bearer token-of-ann'
  }
}

@Controller('health')
export class HealthController {
  @Get()
  check () {
    return { status: 'ok' }
  }
}

@Module({ providers: [Users], controllers: [HealthController] })
export class AppModule {}

// Bindings that only tests have; vitest.config.ts sets them.
declare namespace Cloudflare {
  interface Env {
    ADMIN_TOKEN: string
    EMULATOR_URL: string
  }
}

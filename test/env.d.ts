// Bindings that only tests have; vitest.config.ts sets them.
declare namespace Cloudflare {
  interface Env {
    EMULATOR_URL: string
  }
}

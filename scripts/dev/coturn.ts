// How coturn is installed here: words for the terminal and the demo page. Installs nothing.

const COMMANDS: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'sudo apt-get install coturn',
  darwin: 'brew install coturn',
}

/** A command to copy; null: there is no package of coturn for this system. On Linux it is Debian's and Ubuntu's. */
export const installCoturn = (platform: NodeJS.Platform = process.platform): string | null => COMMANDS[platform] ?? null

/** The kinds of the Account's jobs: rows of the table `jobs`. docs/storage.md says what each does and when. */
export type AccountJobKind =
  | 'tenant-creation'
  | 'restore-tenant'
  | 'forget-erasures'
  | 'sweep'
  | 'reseal'
  | 'prune'
  | 'check-keys'

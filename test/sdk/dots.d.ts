/** What is used of @digitalocean/dots/inference: it ships sources that a strict compiler refuses, and no types. */
export declare class InferenceClient {
  constructor (options: { apiKey: string, baseURL?: string })
  readonly batches: Readonly<Record<'cancel' | 'retrieve', (batchId: string) => Promise<unknown>>>
}

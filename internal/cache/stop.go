package cache

// Stop ends the checks, misses and mirrors that run and starts no more, so that who waits for one is answered now: from the
// store, or that the origin was not reached. Transfers of blobs go on for their readers until Close.
func (c *Cache) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel()
}

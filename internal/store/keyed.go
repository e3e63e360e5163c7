package store

import "sync"

// keyed is a lock for each name that is in use. The zero value is ready.
type keyed struct {
	mu   sync.Mutex
	held map[string]*holder
}

type holder struct {
	sync.Mutex
	users int // who holds it or waits for it
}

// lock locks name and returns the unlock.
func (k *keyed) lock(name string) (unlock func()) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*holder{}
	}
	h := k.held[name]
	if h == nil {
		h = &holder{}
		k.held[name] = h
	}
	h.users++
	k.mu.Unlock()
	h.Lock()
	return func() { k.unlock(name, h) }
}

// tryLock is lock where nobody holds name.
func (k *keyed) tryLock(name string) (unlock func(), ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held[name] != nil {
		return nil, false
	}
	if k.held == nil {
		k.held = map[string]*holder{}
	}
	h := &holder{users: 1}
	h.Lock()
	k.held[name] = h
	return func() { k.unlock(name, h) }, true
}

func (k *keyed) unlock(name string, h *holder) {
	h.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(k.held, name)
	}
}

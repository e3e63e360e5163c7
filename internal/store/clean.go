package store

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
)

// deletions bounds what is deleted while writers wait. On object storage, where each takes requests, it is one.
const deletions = 16

func (p *pass) deletions() int {
	if p.store.remote {
		return 1
	}
	return deletions
}

func (s *Swept) count(it item) {
	switch it.kind {
	case tombstone:
		s.Tags++
	case manifestItem:
		s.Manifests++
	default:
		s.Links++
	}
}

// clean deletes what a mark found unreachable in a repository, and returns what of it is left. It is not done where the repository was
// written to since it was marked: the mark may not hold any more.
func (p *pass) clean(ctx context.Context, m *mark) (left []item, done bool, err error) {
	var due []item
	for _, it := range m.dead {
		if p.candidate(it.path) {
			due = append(due, it)
		} else {
			left = append(left, it)
		}
	}
	if p.o.DryRun {
		for _, it := range due {
			p.report.Freed.count(it)
		}
		return left, true, nil
	}
	if due, err = p.buryTags(ctx, m, due); err != nil {
		return nil, false, err
	}
	for batch := range slices.Chunk(due, p.deletions()) {
		kept, holds, err := p.deleteItems(ctx, m, batch)
		if err != nil || !holds {
			return nil, false, err
		}
		left = append(left, kept...)
	}
	empty := len(m.named) == 0 && len(left) == 0
	if len(due) == 0 && !empty {
		return left, true, nil
	}
	return left, true, p.tidy(ctx, m, empty)
}

// buryTags deletes the records of tags that were removed, and returns the other items.
func (p *pass) buryTags(ctx context.Context, m *mark, due []item) (others []item, err error) {
	for _, it := range due {
		if it.kind != tombstone {
			others = append(others, it)
			continue
		}
		remove := func() error {
			p.store.gate.Lock()
			defer p.store.gate.Unlock()
			return p.removeRecord(ctx, m, it)
		}
		if p.o.Bury != nil {
			err = p.o.Bury(m.repo, it.tag, remove)
		} else {
			err = remove()
		}
		if err != nil {
			return nil, err
		}
	}
	return others, nil
}

// removeRecord deletes the record of a tag that is still removed. The gate is closed.
func (p *pass) removeRecord(ctx context.Context, m *mark, it item) error {
	rec, err := p.store.readTag(ctx, m.repo, it.tag)
	if errors.Is(err, ErrNotFound) || err == nil && !rec.Untagged {
		return nil
	}
	if err != nil {
		return err
	}
	if named, err := p.store.keeperNames(ctx, m.repo, it.tag); named || err != nil {
		return err
	}
	if err := p.store.remove(ctx, path.Dir(it.path)); err != nil {
		return err
	}
	p.report.Freed.count(it)
	return nil
}

// deleteItems deletes a few items at once, unless the mark does not hold any more.
func (p *pass) deleteItems(ctx context.Context, m *mark, batch []item) (kept []item, holds bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	var deleted []item
	defer func() { p.deleted(m, deleted) }()
	p.store.gate.Lock()
	defer p.store.gate.Unlock()
	if !p.store.gate.holds(m.repo) {
		return nil, false, nil
	}
	for _, it := range batch {
		if it.digest != "" && p.store.gate.wasLinked(it.digest) {
			p.report.Postponed++
			kept = append(kept, it)
			continue
		}
		if err := p.deleteItem(ctx, m, it); err != nil {
			return nil, false, err
		}
		deleted = append(deleted, it)
	}
	return kept, true, nil
}

// deleteItem deletes Larder's record first: what a crash leaves then is another registry's link, and a candidate still.
func (p *pass) deleteItem(ctx context.Context, m *mark, it item) error {
	if it.kind == documentItem {
		return p.store.remove(ctx, it.path)
	}
	k := blobLink
	if it.kind == manifestItem {
		k = manifestLink
	}
	link, record, err := linkPaths(m.repo, k, it.digest)
	if err != nil {
		return err
	}
	if err := p.store.remove(ctx, record); err != nil {
		return err
	}
	err = p.store.remove(ctx, path.Dir(link))
	p.store.links.forget(linkKey{m.repo, k, it.digest})
	return err
}

// deleted counts what was deleted, and has others forget it. The gate is open.
func (p *pass) deleted(m *mark, items []item) {
	for _, it := range items {
		p.report.Freed.count(it)
		if p.o.Forget != nil && it.kind != blobItem {
			p.o.Forget(m.repo, it.digest)
		}
	}
}

// remove deletes a file or folder; what is not there is no error.
func (s *Store) remove(ctx context.Context, path string) error {
	if err := ignoreMissing(fromDriver(s.driver.Delete(ctx, path))); err != nil {
		return fmt.Errorf("removing %s: %w", path, err)
	}
	return nil
}

// tidy removes what deletions leave of a repository: distribution's links that say that a tag once named a manifest, and the folders of
// one in which nothing is left. It does nothing where somebody writes there.
func (p *pass) tidy(ctx context.Context, m *mark, empty bool) error {
	if !empty {
		return p.unindex(ctx, m)
	}
	p.store.gate.Lock()
	defer p.store.gate.Unlock()
	if !p.store.gate.holds(m.repo) {
		return nil
	}
	return p.store.removeRepository(ctx, m.root) // there is little to look at: it is empty
}

// unindex removes what says of a tag that it once named a manifest that is not here any more. Nobody waits while that is looked for.
func (p *pass) unindex(ctx context.Context, m *mark) error {
	stale, err := p.stale(ctx, m)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(stale, p.deletions()) {
		if holds, err := p.removeAll(ctx, m, batch); err != nil || !holds {
			return err
		}
	}
	return nil
}

// removeAll removes a few folders, unless the mark does not hold any more.
func (p *pass) removeAll(ctx context.Context, m *mark, folders []string) (holds bool, err error) {
	p.store.gate.Lock()
	defer p.store.gate.Unlock()
	if !p.store.gate.holds(m.repo) {
		return false, nil
	}
	for _, folder := range folders {
		if err := p.store.remove(ctx, folder); err != nil {
			return true, err
		}
	}
	return true, nil
}

// stale lists what unindex removes.
func (p *pass) stale(ctx context.Context, m *mark) (stale []string, err error) {
	tags, err := p.store.folders(ctx, path.Join(m.root, "_manifests/tags"))
	if err != nil {
		return nil, err
	}
	for _, tag := range tags {
		for _, algorithm := range algorithms {
			folder := path.Join(m.root, "_manifests/tags", tag, "index", algorithm.String())
			once, err := p.store.digests(ctx, folder, algorithm)
			if err != nil {
				return nil, err
			}
			for _, dgst := range once {
				if !m.manifests[dgst] {
					stale = append(stale, path.Join(folder, dgst.Encoded()))
				}
			}
		}
	}
	return stale, nil
}

// removeRepository removes the empty folders of a repository, and those above it that are empty then.
func (s *Store) removeRepository(ctx context.Context, root string) error {
	for _, folder := range []string{"_layers", "_manifests", "_larder"} {
		if _, err := s.removeEmpty(ctx, path.Join(root, folder)); err != nil {
			return err
		}
	}
	for ; root != repositoriesRoot; root = path.Dir(root) {
		names, err := s.list(ctx, root)
		if err != nil || len(names) > 0 {
			return err
		}
		if err := s.remove(ctx, root); err != nil {
			return err
		}
	}
	return nil
}

// removeEmpty removes a folder that holds no file, and says whether it did.
func (s *Store) removeEmpty(ctx context.Context, folder string) (bool, error) {
	info, err := s.driver.Stat(ctx, folder)
	if err = fromDriver(err); err != nil || !info.IsDir() {
		return errors.Is(err, ErrNotFound), ignoreMissing(err)
	}
	names, err := s.list(ctx, folder)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if gone, err := s.removeEmpty(ctx, path.Join(folder, name)); err != nil || !gone {
			return false, err
		}
	}
	return true, s.remove(ctx, folder)
}

func ignoreMissing(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

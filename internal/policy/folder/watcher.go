package folder

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watcher tells when a folder may have changed. It watches the folder and the nearest folder above it that exists, in which
// the folder, or what leads to it, may appear. Where the system gives it no watch, it says so every second.
type watcher struct {
	dir     string            // absolute
	notify  *fsnotify.Watcher // nil: the system has no more to give
	watched map[string]os.FileInfo
	blind   bool // something is not watched
}

func newWatcher(dir string) *watcher {
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	w := &watcher{dir: dir, watched: map[string]os.FileInfo{}}
	if notify, err := fsnotify.NewWatcher(); err == nil {
		w.notify = notify
	}
	return w
}

func (w *watcher) close() {
	if w.notify != nil {
		_ = w.notify.Close() // nothing is left to lose
	}
}

// follow watches what there is to watch now. The folder is to be read after it.
func (w *watcher) follow() {
	if w.notify == nil {
		w.blind = true
		return
	}
	wanted := w.wanted()
	for path, before := range w.watched {
		if now, ok := wanted[path]; !ok || !os.SameFile(before, now) {
			w.forget(path)
		}
	}
	w.blind = false
	for path, info := range wanted {
		if _, ok := w.watched[path]; ok {
			continue
		}
		if err := w.notify.Add(path); err != nil {
			w.blind = true
			continue
		}
		w.watched[path] = info
	}
}

// wanted returns what there is to watch.
func (w *watcher) wanted() map[string]os.FileInfo {
	wanted := map[string]os.FileInfo{}
	if info, err := os.Stat(w.dir); err == nil {
		wanted[w.dir] = info
	}
	for above := filepath.Dir(w.dir); ; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err == nil {
			wanted[above] = info
		}
		if err == nil || above == filepath.Dir(above) {
			return wanted
		}
	}
}

func (w *watcher) forget(path string) {
	_ = w.notify.Remove(path) // gone with its folder, perhaps
	delete(w.watched, path)
}

// wait returns true when the folder may have changed and its changes have settled, false when the context ends.
func (w *watcher) wait(ctx context.Context) bool {
	timer := time.NewTimer(w.patience())
	defer timer.Stop()
	events, errs := w.channels()
	settling := false
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case event := <-events:
			if w.concerns(event) && !settling {
				settling = true
				timer.Reset(settle)
			}
		case err := <-errs: // events were lost
			return err != nil
		}
	}
}

func (w *watcher) patience() time.Duration {
	if w.blind {
		return poll
	}
	return resync
}

func (w *watcher) channels() (<-chan fsnotify.Event, <-chan error) {
	if w.notify == nil {
		return nil, nil
	}
	return w.notify.Events, w.notify.Errors
}

// concerns says whether an event may be about the folder: about it, something in it, or a folder on the way to it.
func (w *watcher) concerns(event fsnotify.Event) bool {
	name := filepath.Clean(event.Name)
	if _, ok := w.watched[name]; ok && (event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename)) {
		w.forget(name) // what appears there next may have the same inode
	}
	return name == w.dir || filepath.Dir(name) == w.dir || strings.HasPrefix(w.dir, name+string(filepath.Separator))
}

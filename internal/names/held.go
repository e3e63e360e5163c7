package names

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
)

const (
	markSize = 8  // bytes: of 400,000 names no two share a mark, but once in 200 million such lists
	heldSize = 11 // bytes of a document for one mark: base64
	envelope = 64 // bytes around what a document lists, and some more
)

var errTooMany = errors.New("more repositories have pins, immutable tags or another origin than a proxy can be told of")

// Held is a set of repositories, as the sorted beginnings of their names' hashes: as short as a list can be that says of a name whether it is in it.
type Held []byte

// Len is how many repositories are held.
func (h Held) Len() int { return len(h) / markSize }

func (h Held) has(name string) bool {
	want := mark(name)
	_, found := sort.Find(h.Len(), func(i int) int { return bytes.Compare(want, h[i*markSize:(i+1)*markSize]) })
	return found
}

func mark(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:markSize]
}

func hold(names []string) Held {
	marks := make([][]byte, 0, len(names))
	for _, name := range names {
		marks = append(marks, mark(name))
	}
	slices.SortFunc(marks, bytes.Compare)
	return slices.Concat(marks...)
}

// Fit returns the document as it can be told, whose text has MaxSize bytes at most. The repositories for which there is no room are held: of them it
// says only that the registry has to be asked. An error says that there is no room for that either.
func (d Document) Fit() (Document, error) {
	sizes, total := make([]int, len(d.Repositories)), envelope
	for i, r := range d.Repositories {
		text, err := json.Marshal(r)
		if err != nil {
			return Document{}, fmt.Errorf("encoding the names: %w", err)
		}
		sizes[i] = len(text) + len(",")
		total += sizes[i]
	}
	if total <= MaxSize {
		return d, nil
	}
	room := MaxSize - envelope - heldSize*len(d.Repositories)
	if room < 0 {
		return Document{}, fmt.Errorf("%w: %d of at most %d", errTooMany, len(d.Repositories), (MaxSize-envelope)/heldSize)
	}
	var fit Document
	var held []string
	for i, r := range d.Repositories {
		if more := sizes[i] - heldSize; more <= room {
			room -= more
			fit.Repositories = append(fit.Repositories, r)
		} else {
			held = append(held, r.Name)
		}
	}
	fit.Held = hold(held)
	return fit, nil
}

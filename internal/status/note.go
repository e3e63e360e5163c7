package status

import (
	"strings"
	"unicode/utf8"
)

const (
	maxNote = 1024 // bytes that the API server takes of an event's note
	cutOff  = "…"
)

// Note makes the note of an event of a text: one that is too long ends in an ellipsis, after a whole character, and what is no UTF-8, as an
// origin may have said it, is replaced. The API server refuses an event with another one.
func Note(text string) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	if len(text) <= maxNote {
		return text
	}
	end := maxNote - len(cutOff)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + cutOff
}

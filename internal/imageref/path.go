package imageref

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxPath is distribution's limit for the path of a repository.
const maxPath = 255

// checkPath says what is wrong with the path of a repository: components of lower-case letters and digits, joined inside by
// one period, one or two underscores, or any number of dashes.
func checkPath(path string) error {
	if path == "" {
		return errors.New("the repository is missing")
	}
	if len(path) > maxPath {
		return fmt.Errorf("the repository is %d characters long, %d are allowed", len(path), maxPath)
	}
	for component := range strings.SplitSeq(path, "/") {
		if err := checkComponent(component); err != nil {
			return err
		}
	}
	return nil
}

func checkComponent(c string) error {
	if c == "" {
		return errors.New("a path component is empty")
	}
	for rest := c; ; {
		word := span(rest, isLowerAlnum)
		rest = rest[word:]
		separator := span(rest, isSeparator)
		switch {
		case word == 0 && separator == 0 || separator == 0 && rest != "":
			return badCharacter(c, rest)
		case word == 0 || separator == len(rest) && separator > 0:
			return fmt.Errorf("path component %q must begin and end with a letter or a digit", c)
		case !validSeparator(rest[:separator]):
			return fmt.Errorf("path component %q must not contain %q", c, rest[:separator])
		case rest == "":
			return nil
		}
		rest = rest[separator:]
	}
}

// badCharacter describes the first character of rest, which has no place in the component c.
func badCharacter(c, rest string) error {
	r, _ := utf8.DecodeRuneInString(rest)
	if 'A' <= r && r <= 'Z' {
		return fmt.Errorf("path component %q must be in lower case", c)
	}
	return fmt.Errorf("path component %q must not contain %q", c, r)
}

// span is the length of the prefix of s whose bytes are all in class.
func span(s string, class func(byte) bool) int {
	for i := range len(s) {
		if !class(s[i]) {
			return i
		}
	}
	return len(s)
}

func validSeparator(s string) bool {
	return len(s) < 2 || s == "__" || strings.Trim(s, "-") == ""
}

func isLowerAlnum(b byte) bool { return 'a' <= b && b <= 'z' || isDigit(b) }

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func isSeparator(b byte) bool { return b == '.' || b == '_' || b == '-' }

// isHex says whether s consists of hexadecimal digits in lower case.
func isHex(s string) bool {
	return span(s, func(b byte) bool { return isDigit(b) || 'a' <= b && b <= 'f' }) == len(s)
}

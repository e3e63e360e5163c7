// Package threats holds docs/threat-model.md to the tests that it names.
package threats

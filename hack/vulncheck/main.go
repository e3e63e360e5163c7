// Command vulncheck runs govulncheck where the database of vulnerabilities can be reached, and elsewhere says loudly that nothing was
// checked. It never reports success for a check that failed in any other way.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// patience is how long the database may take for its first answer.
const patience = 15 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "vulncheck: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// run runs the command that the arguments name, with -db and the packages behind it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("vulncheck", flag.ContinueOnError)
	flags.SetOutput(stderr)
	db := flags.String("db", "https://vuln.go.dev", "`address` of the database")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("say what runs govulncheck: vulncheck [-db address] go tool govulncheck")
	}
	if err := reach(ctx, *db); err != nil {
		var away *unreachable
		if !errors.As(err, &away) || ctx.Err() != nil {
			return err
		}
		_, err := fmt.Fprintf(stderr, "\n*** NOT CHECKED for known vulnerabilities: %v ***\n\n", away)
		return err
	}
	command := append(flags.Args(), "-db", *db, "./...")
	check := exec.CommandContext(ctx, command[0], command[1:]...)
	check.Stdout, check.Stderr = stdout, stderr
	if err := check.Run(); err != nil {
		return fmt.Errorf("running govulncheck: %w", err)
	}
	return nil
}

// unreachable says that no answer came from the database itself.
type unreachable struct{ err error }

func (e *unreachable) Error() string { return "its database cannot be reached: " + e.err.Error() }
func (e *unreachable) Unwrap() error { return e.err }

// reach asks the database for the smallest of its files.
func reach(ctx context.Context, db string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(db, "/")+"/index/db.json", nil)
	if err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	if r.URL.Host == "" {
		return fmt.Errorf("-db %s: write an address such as https://vuln.go.dev", db)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return &unreachable{err}
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &unreachable{fmt.Errorf("%s answers %s", r.URL, resp.Status)}
	default:
		return fmt.Errorf("asking the database: %s answers %s", r.URL, resp.Status)
	}
}

package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const cannotMount = 3

var errMount = errors.New("mounting")

func main() {
	seed := flag.Uint64("seed", 1, "what tear chooses by")
	flag.Parse()
	err := run(flag.Args(), rand.New(rand.NewPCG(*seed, 0)), os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
	}
	switch {
	case errors.Is(err, errMount):
		os.Exit(cannotMount)
	case err != nil:
		os.Exit(1)
	}
}

func run(args []string, luck *rand.Rand, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("name the folder to mount at")
	}
	c := &command{folder: args[0], luck: luck, out: out, disk: newDisk()}
	if err := c.mount(); err != nil {
		return err
	}
	err := c.obey(in)
	return errors.Join(err, c.unmount())
}

// command is the file system with what it hears and says.
type command struct {
	folder string
	luck   *rand.Rand
	out    io.Writer
	disk   *disk
	server *fuse.Server
}

func (c *command) mount() error {
	server, err := fuse.NewServer(newFilesystem(c.disk), c.folder, &fuse.MountOptions{
		FsName: "powercut", Name: "powercut", DirectMount: true, DisableXAttrs: true, DisableReadDirPlus: true,
	})
	if err != nil {
		return fmt.Errorf("%w %s: %w", errMount, c.folder, err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return fmt.Errorf("%w %s: %w", errMount, c.folder, err)
	}
	c.server = server
	_, err = fmt.Fprintln(c.out, "mounted")
	return err
}

// unmount lets go of the folder also where a process that was killed has not quite gone.
func (c *command) unmount() error {
	if err := c.server.Unmount(); err != nil {
		if syscall.Unmount(c.folder, syscall.MNT_DETACH) != nil {
			return fmt.Errorf("unmounting: %w", err)
		}
	}
	c.server.Wait()
	return nil
}

func (c *command) obey(in io.Reader) error {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if err := c.do(lines.Text()); err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
	}
	return nil
}

func (c *command) do(line string) error {
	var changes int
	switch {
	case line == "drop":
		return c.restore(nil)
	case line == "tear":
		return c.restore(c.luck)
	default:
		if _, err := fmt.Sscanf(line, "arm %d", &changes); err != nil || changes < 1 {
			return errors.New("write arm and a number above 0, drop or tear")
		}
	}
	return c.arm(changes)
}

// arm answers when the next change counts, and later says that the power is out.
func (c *command) arm(changes int) error {
	c.disk.arm(changes)
	if _, err := fmt.Fprintln(c.out, "armed"); err != nil {
		return err
	}
	out := c.disk.out
	go func() {
		<-out
		_, _ = fmt.Fprintln(c.out, "out")
	}()
	return nil
}

// restore mounts what the disk holds after a cut.
func (c *command) restore(luck *rand.Rand) error {
	if err := c.unmount(); err != nil {
		return err
	}
	c.disk = c.disk.restore(luck)
	return c.mount()
}

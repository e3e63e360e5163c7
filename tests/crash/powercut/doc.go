// Command powercut mounts a file system in memory whose power can be cut: what was not synced is then gone.
//
// It keeps two states of everything. What processes see is the one; what is on the platter is the other, and only fsync
// takes something there: of a file its content, of a folder its entries, and nothing else along with it. So a file that was synced is
// lost where the folder above it was not, and a file that was renamed is back under its old name. Disks do more than that; a
// program that is right here is right on all of them.
//
// A person or a test talks to it by lines:
//
//	powercut <folder>
//	> arm 40       the power goes out just before the 40th change from now
//	< armed
//	< out          it went out: every call fails until the disk is restored
//	> drop         mounts again what was synced, nothing else
//	> tear         mounts again what was synced and a random part of the rest: entries, files, blocks of files
//	< mounted      said at the start, too
//
// At the end of its input it unmounts and ends. It exits with status 3 where the machine cannot mount it.
//
// # What it does not show
//
// Blocks that the disk itself loses after it confirmed a flush, a file system that breaks its own promises, and the order in which a
// particular one writes: it is stricter than those, not like them. Renames are not atomic across two folders here.
package main

using System.Diagnostics;
using Xunit;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Journal;

namespace ZeroFlow.Stages.Tests.Journal;

// The real files. A WAL on them is exercised by the same records as on the simulated disk.
public sealed class WalDirectoryTests : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly string _parent = Directory.CreateTempSubdirectory("zeroflow-wal-").FullName;

    private string Path => System.IO.Path.Combine(_parent, "wal");

    public void Dispose() => Directory.Delete(_parent, recursive: true);

    [Fact]
    public void A_second_user_of_the_directory_is_refused_until_the_first_is_gone()
    {
        using (var first = new WalDirectory(Path))
        {
            var fault = Assert.Throws<StorageFaultException>(() => new WalDirectory(Path));
            Assert.Equal(FaultKind.Invalid, fault.Kind);
            Assert.NotEqual(0, RunShell($"flock --nonblock '{Path}/lock' true"));
        }

        Assert.Equal(0, RunShell($"flock --nonblock '{Path}/lock' true"));
        using var second = new WalDirectory(Path);
    }

    [Fact]
    public void Only_the_owner_may_look_inside()
    {
        using var disk = new WalDirectory(Path);
        using IWalFile file = disk.Create("a", 10);
        disk.ReplaceSmallFile("b", "x"u8);
        Assert.Equal(OwnerOnly | UnixFileMode.UserExecute, File.GetUnixFileMode(Path));
        foreach (string name in disk.List())
            Assert.Equal(OwnerOnly, File.GetUnixFileMode(System.IO.Path.Combine(Path, name)));
    }

    [Fact]
    public void A_new_file_is_zeros_with_all_its_blocks()
    {
        using var disk = new WalDirectory(Path);
        disk.ReplaceSmallFile("a", "what was there before"u8);
        using IWalFile file = disk.Create("a", (3 << 20) + 5);
        Assert.Equal((3 << 20) + 5, file.Length);
        Assert.True(WalSegmentScan.IsZero(file));
        Assert.Equal(0, RunShell($"test $(stat -c %b '{Path}/a') -ge $(( 3 * 2048 ))"));
    }

    [Fact]
    public void Files_are_written_renamed_replaced_set_aside_and_deleted()
    {
        using var disk = new WalDirectory(Path);
        using (IWalFile file = disk.Create("a", 4096))
        {
            disk.Rename("a", "b");
            file.Write(4000, "hello"u8);
            file.Sync();
        }

        byte[] read = new byte[200];
        using (IWalFile file = disk.Open("b")) Assert.Equal(96, file.Read(4000, read));
        Assert.Equal("hello"u8, read.AsSpan(0, 5));
        disk.ReplaceSmallFile("term", "one"u8);
        disk.ReplaceSmallFile("term", "two"u8);
        Assert.Equal("two"u8, disk.TryReadSmallFile("term")!);
        Assert.Null(disk.TryReadSmallFile("none"));
        string first = disk.SetAside(["b"], "stale");
        disk.Create("b", 1).Dispose();
        string second = disk.SetAside(["b"], "stale");
        Assert.NotEqual(first, second);
        Assert.True(File.Exists(System.IO.Path.Combine(first, "b")) && File.Exists(System.IO.Path.Combine(second, "b")));
        disk.Delete("term");
        disk.Delete("term");
        Assert.Equal(["lock"], disk.List());
    }

    [Fact]
    public void A_directory_that_cannot_be_made_is_a_clear_fault()
    {
        File.WriteAllText(Path, "a file");
        Assert.Equal(FaultKind.Invalid, Assert.Throws<StorageFaultException>(() => new WalDirectory(Path)).Kind);
    }

    // Goal: a full file system is told apart from a broken one, and leaves nothing behind.
    [Fact]
    public void A_full_file_system_is_a_full_disk()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root may mount a small file system.");
        Directory.CreateDirectory(Path);
        Assert.SkipUnless(RunShell($"mount -t tmpfs -o size=2m tmpfs '{Path}'") == 0, "No mount is allowed here.");
        try
        {
            using var disk = new WalDirectory(Path);
            Assert.Throws<WalDiskFullException>(() => disk.Create("a", 4 << 20));
            Assert.Equal(["lock"], disk.List());
            disk.Create("a", 1 << 20).Dispose();
        }
        finally
        {
            Assert.Equal(0, RunShell($"umount '{Path}'"));
        }
    }

    private static int RunShell(string command)
    {
        using Process process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", command]) { RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode;
    }
}

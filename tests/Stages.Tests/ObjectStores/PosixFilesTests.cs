using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Xunit;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Tests.ObjectStores;

// On real file systems that give up, between the change of a directory and its sync.
public sealed class PosixFilesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("zeroflow-posix-").FullName;
    private string? _loop;

    private string Root => Path.Combine(_folder, "root");

    // Its fsync succeeds then (Linux 6.18): the entry is gone with the log, and nothing waits for it any more.
    [Fact]
    public void A_directory_of_an_XFS_that_has_shut_down_is_not_synced()
    {
        Mount("xfs", "defaults");
        using SafeFileHandle directory = OpenDirectory();
        PosixFiles.SyncDirectory(directory, Root);
        File.WriteAllText(Path.Combine(Root, "entry"), "");
        Assert.True(TryRun("xfs_io", "-x", "-c", "shutdown", Root));
        Assert.ThrowsAny<IOException>(() => PosixFiles.SyncDirectory(directory, Root));
    }

    // Debian's installer sets errors=remount-ro. What was written before the error cannot become stable afterwards.
    [Fact]
    public void Nothing_of_an_ext4_that_became_read_only_by_an_error_is_synced()
    {
        Mount("ext4", "errors=remount-ro");
        using SafeFileHandle directory = OpenDirectory();
        using SafeFileHandle file = File.OpenHandle(Path.Combine(Root, "file"), FileMode.CreateNew, FileAccess.Write);
        PosixFiles.SyncDirectory(directory, Root);
        RandomAccess.Write(file, new byte[4096], 0);
        File.WriteAllText($"/sys/fs/ext4/{Path.GetFileName(_loop)}/trigger_fs_error", "test");
        Assert.ThrowsAny<IOException>(() => PosixFiles.SyncFile(file, "file"));
        Assert.ThrowsAny<IOException>(() => PosixFiles.SyncDirectory(directory, Root));
    }

    public void Dispose()
    {
        if (_loop is not null)
        {
            TryRun("umount", Root);
            TryRun("losetup", "--detach", _loop);
        }

        Directory.Delete(_folder, recursive: true);
    }

    private void Mount(string fileSystem, string options)
    {
        Assert.SkipUnless(Environment.UserName == "root", "This test mounts a small file system and needs root.");
        Assert.SkipUnless(File.Exists("/dev/loop-control"), "There are no loop devices.");
        string image = Path.Combine(_folder, "image");
        using (FileStream file = File.Create(image)) file.SetLength(320L << 20);
        Assert.SkipUnless(TryRun($"mkfs.{fileSystem}", "-q", image), $"mkfs.{fileSystem} is missing.");
        Directory.CreateDirectory(Root);
        var start = new ProcessStartInfo("losetup", ["--find", "--show", image]) { RedirectStandardOutput = true };
        using (Process losetup = Process.Start(start)!) _loop = losetup.StandardOutput.ReadToEnd().Trim();
        Assert.True(TryRun("mount", "-t", fileSystem, "-o", options, _loop, Root), $"{fileSystem} cannot be mounted.");
    }

    private SafeFileHandle OpenDirectory() => PosixFiles.OpenDirectory(Root);

    private static bool TryRun(string program, params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments))!;
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}

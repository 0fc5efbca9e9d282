using Microsoft.Win32.SafeHandles;
using Xunit;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Tests.ObjectStores;

public sealed class DirectWriterTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Theory]
    [InlineData(DirectWriter.BytesMin)]
    [InlineData(DirectWriter.BytesMin + 1)]
    [InlineData((1 << 20) + 4095)]
    [InlineData((3 << 20) + 123)]
    public void Whole_blocks_are_written_and_the_rest_is_left(int length)
    {
        using (SafeFileHandle? probe = PosixFiles.TryOpenDirect(_path))
            Assert.SkipWhen(probe is null, $"The file system of {_path} has no direct writes.");
        byte[] bytes = Bytes(length);
        var writer = new DirectWriter();
        for (int round = 0; round < 2; round++)
        {
            Assert.Equal(length / 4096 * 4096, writer.Write(_path, bytes));
            Assert.Equal(bytes[..(length / 4096 * 4096)], File.ReadAllBytes(_path));
            File.WriteAllBytes(_path, []);
        }
    }

    [Fact]
    public void A_small_body_is_left_to_the_caller_and_no_file_opened() =>
        Assert.Equal(0, new DirectWriter(Refuse).Write(_path, Bytes(DirectWriter.BytesMin - 1)));

    [Fact]
    public void Without_direct_writes_all_is_left_to_the_caller() =>
        Assert.Equal(0, new DirectWriter(static _ => null).Write(_path, Bytes(1 << 20)));

    // /dev/full takes no byte.
    [Fact]
    public void What_cannot_be_written_is_left_to_the_caller()
    {
        var writer = new DirectWriter(static _ =>
            File.OpenHandle("/dev/full", FileMode.Open, FileAccess.Write, FileShare.ReadWrite));
        Assert.Equal(0, writer.Write(_path, Bytes(1 << 20)));
    }

    // The last parts go by one way and the first by another, several at once.
    [Fact]
    public async Task Objects_of_every_length_come_back_as_they_were()
    {
        string root = Directory.CreateTempSubdirectory("zeroflow-direct-").FullName;
        await using DirectoryObjectStore store = DirectoryObjectStore.Open(root, TimeProvider.System);
        int[] lengths = [1, DirectWriter.BytesMin - 1, DirectWriter.BytesMin, DirectWriter.BytesMin + 1, (2 << 20) + 7, 5 << 20];
        await Task.WhenAll(lengths.Select(length =>
            store.TryCreateAsync($"objects/{length}", Bytes(length), TestContext.Current.CancellationToken)));
        foreach (int length in lengths)
        {
            byte[]? found = await store.TryReadAsync($"objects/{length}", 8 << 20, TestContext.Current.CancellationToken);
            Assert.True(Bytes(length).AsSpan().SequenceEqual(found), $"{length} bytes came back as others");
        }

        Directory.Delete(root, recursive: true);
    }

    private static SafeFileHandle? Refuse(string path) => throw new InvalidOperationException($"'{path}' was opened.");

    private static byte[] Bytes(int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }
}

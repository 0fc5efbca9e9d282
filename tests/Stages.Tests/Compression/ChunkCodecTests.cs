using System.Text;
using Xunit;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Compression;

namespace ZeroFlow.Stages.Tests.Compression;

public sealed class ChunkCodecTests
{
    private static readonly int[] Sizes = [512, 4096, 12_345, 128 * 1024, 1024 * 1024];

    public static TheoryData<string> Codecs => ["native", "managed"];

    [Theory]
    [MemberData(nameof(Codecs))]
    public void Compressible_chunks_shrink_and_come_back(string name)
    {
        using IChunkCodec codec = Make(name);
        foreach (int size in Sizes)
        {
            byte[] plain = PageLike(size, seed: size);
            byte[] compressed = Compress(codec, plain);
            Assert.InRange(compressed.Length, 1, size - size / 16);
            Assert.Equal(plain, Decompress(codec, compressed, size));
        }
    }

    [Theory]
    [InlineData("native", "managed")]
    [InlineData("managed", "native")]
    public void What_one_codec_wrote_the_other_reads(string writerName, string readerName)
    {
        using IChunkCodec writer = Make(writerName);
        using IChunkCodec reader = Make(readerName);
        foreach (int size in Sizes)
        {
            byte[] plain = PageLike(size, seed: size + 1);
            Assert.Equal(plain, Decompress(reader, Compress(writer, plain), size));
        }
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void Data_that_does_not_shrink_is_left_alone(string name)
    {
        using IChunkCodec codec = Make(name);
        foreach (int size in Sizes)
        {
            byte[] plain = Noise(size, seed: size);
            Assert.Equal(0, codec.TryCompress(plain, new byte[codec.MaxCompressedBytes(size)], 1));
        }

        Assert.Equal(0, codec.TryCompress([], new byte[64], 1));
    }

    // A saving of a thirty-second is real, yet too small to pay for decompressing on every read.
    [Theory]
    [MemberData(nameof(Codecs))]
    public void A_saving_below_a_sixteenth_is_not_taken(string name)
    {
        using IChunkCodec codec = Make(name);
        byte[] plain = Noise(128 * 1024, seed: 5);
        plain.AsSpan(0, plain.Length / 32).Clear();
        Assert.Equal(0, codec.TryCompress(plain, new byte[codec.MaxCompressedBytes(plain.Length)], 1));
        plain.AsSpan(0, plain.Length / 8).Clear();
        Assert.NotEqual(0, codec.TryCompress(plain, new byte[codec.MaxCompressedBytes(plain.Length)], 1));
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void A_destination_that_is_too_small_yields_nothing(string name)
    {
        using IChunkCodec codec = Make(name);
        byte[] plain = PageLike(128 * 1024, seed: 9);
        Assert.Equal(0, codec.TryCompress(plain, new byte[100], 1));
        Assert.Equal(0, codec.TryCompress(plain, [], 1));
        Assert.NotEmpty(Compress(codec, plain));
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void A_frame_of_another_length_is_corrupt(string name)
    {
        using IChunkCodec codec = Make(name);
        byte[] compressed = Compress(codec, PageLike(8192, seed: 3));
        foreach (int wrong in new[] { 0, 1, 8191, 8193, 65_536 }) AssertCorrupt(codec, compressed, wrong);
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void Truncated_or_foreign_input_is_corrupt(string name)
    {
        using IChunkCodec codec = Make(name);
        byte[] compressed = Compress(codec, PageLike(8192, seed: 4));
        for (int length = 0; length < compressed.Length; length += 1 + length / 8)
            AssertCorrupt(codec, compressed[..length], 8192);
        AssertCorrupt(codec, [.. compressed, 1, 2, 3, 4, 5], 8192);
        AssertCorrupt(codec, Noise(4096, seed: 4), 8192);
    }

    // Frames have no checksum, so a flipped bit may decode to other bytes; it must never do worse than that.
    [Theory]
    [MemberData(nameof(Codecs))]
    public void Flipped_bits_decode_or_are_corrupt_and_leave_the_codec_usable(string name)
    {
        using IChunkCodec codec = Make(name);
        byte[] plain = PageLike(16 * 1024, seed: 6);
        byte[] good = Compress(codec, plain);
        var random = new Random(17);
        int refused = 0;
        for (int round = 0; round < 2000; round++)
        {
            byte[] bad = [.. good];
            bad[random.Next(bad.Length)] ^= (byte)(1 << random.Next(8));
            try
            {
                codec.Decompress(bad, new byte[plain.Length]);
            }
            catch (StorageFaultException fault)
            {
                Assert.Equal(FaultKind.Corrupt, fault.Kind);
                refused++;
            }
        }

        Assert.NotEqual(0, refused);
        Assert.Equal(plain, Decompress(codec, good, plain.Length));
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void Many_threads_share_one_codec(string name)
    {
        using IChunkCodec codec = Make(name);
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, worker =>
        {
            for (int round = 0; round < 40; round++)
            {
                byte[] plain = PageLike(4096 << (round % 4), seed: worker * 1000 + round);
                byte[] compressed = Compress(codec, plain, level: 1 + (worker + round) % 3);
                Assert.Equal(plain, Decompress(codec, compressed, plain.Length));
            }
        });
    }

    [Fact]
    public void The_native_library_is_chosen_where_it_loads()
    {
        using IChunkCodec codec = ZstdCodec.Create();
        Assert.StartsWith(NativeZstdCodec.IsAvailable ? "libzstd 1." : "ZstdSharp.Port 0.", codec.Description);
    }

    private static IChunkCodec Make(string name)
    {
        if (name == "managed") return new ManagedZstdCodec();
        Assert.SkipUnless(NativeZstdCodec.IsAvailable, "libzstd.so.1 is not installed");
        return new NativeZstdCodec();
    }

    private static byte[] Compress(IChunkCodec codec, byte[] plain, int level = 1)
    {
        byte[] room = new byte[codec.MaxCompressedBytes(plain.Length)];
        return room[..codec.TryCompress(plain, room, level)];
    }

    private static byte[] Decompress(IChunkCodec codec, byte[] compressed, int length)
    {
        byte[] plain = new byte[length];
        codec.Decompress(compressed, plain);
        return plain;
    }

    private static void AssertCorrupt(IChunkCodec codec, byte[] compressed, int length)
    {
        var fault = Assert.Throws<StorageFaultException>(() => codec.Decompress(compressed, new byte[length]));
        Assert.Equal(FaultKind.Corrupt, fault.Kind);
    }

    private static byte[] Noise(int size, int seed)
    {
        byte[] bytes = new byte[size];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Rows of words and numbers, as a heap page of text columns holds them.</summary>
    private static byte[] PageLike(int size, int seed)
    {
        var random = new Random(seed);
        var text = new StringBuilder(size + 64);
        while (text.Length < size)
            text.Append(string.Create(null, $"customer-{random.Next(100_000)}|pending|2026-01-{random.Next(28)}|"));
        return Encoding.ASCII.GetBytes(text.ToString(0, size));
    }
}

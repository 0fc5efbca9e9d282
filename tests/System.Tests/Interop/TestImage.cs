using System.Security.Cryptography;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Interop;

/// <summary>
/// An image file as disks are: holes, text that compresses, noise that does not, and odd edges between them.
/// </summary>
internal static class TestImage
{
    private const int Piece = 1024 * 1024;

    public static long Bytes => Require.Long ? 1024L * Piece : 256L * Piece;

    public static void Make(string path, int seed)
    {
        var random = new Random(seed);
        var data = new byte[Piece];
        using var file = File.Create(path);
        file.SetLength(Bytes);
        for (long offset = 0; offset < Bytes; offset += Piece)
        {
            var dice = random.Next(10);
            if (dice < 4) continue;
            var from = random.Next(4) == 0 ? random.Next(Piece / 2) : 0;
            var length = random.Next(4) == 0 ? random.Next(1, Piece - from) : Piece - from;
            if (dice < 7) Text(random, data.AsSpan(0, length));
            else random.NextBytes(data.AsSpan(0, length));
            file.Position = offset + from;
            file.Write(data, 0, length);
        }
    }

    public static async Task<string> DigestAsync(string path)
    {
        await using var file = File.OpenRead(path);
        return Convert.ToHexString(await SHA256.HashDataAsync(file));
    }

    private static void Text(Random random, Span<byte> into)
    {
        Span<byte> word = stackalloc byte[48];
        foreach (ref var letter in word) letter = (byte)random.Next('a', 'z');
        for (var at = 0; at < into.Length; at++) into[at] = at % 48 == 0 ? (byte)random.Next('0', '9') : word[at % 48];
    }
}

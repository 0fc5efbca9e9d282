using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Keys;

/// <summary>
/// The object <c>store.json</c>: the identity of a store and its data key, wrapped by a key that Argon2id derives from
/// the passphrase. Made once; a changed passphrase wraps the same data key anew.
/// </summary>
internal sealed record StoreRecord
{
    public const string ObjectKey = "store.json";
    public const int RecordBytesMax = 64 * 1024;

    private const int FormatNow = 1;
    private const string Kdf = "argon2id";

    public required int Format { get; init; }

    public required Guid StoreId { get; init; }

    public required DateTimeOffset Created { get; init; }

    [JsonPropertyName("kdf")]
    public required string KdfName { get; init; }

    public required int KdfMemoryKib { get; init; }

    public required int KdfPasses { get; init; }

    public required byte[] KdfSalt { get; init; }

    public required byte[] WrapNonce { get; init; }

    /// <summary>The data key, sealed, with its tag behind it.</summary>
    public required byte[] WrappedKey { get; init; }

    /// <summary>Opens the keys of a store that exists.</summary>
    /// <exception cref="StorageFaultException">There is none, or the passphrase is wrong.</exception>
    public static async Task<StoreKeys> OpenAsync(IObjectStore objects, Passphrase passphrase, CancellationToken cancellation)
    {
        byte[] found = await objects.TryReadAsync(ObjectKey, RecordBytesMax, cancellation)
            ?? throw new StorageFaultException(FaultKind.NotFound, $"There is no store in {objects.Location}.");
        return Parse(found, objects.Location).Unlock(passphrase, objects.Location);
    }

    /// <summary>Opens the store's keys, creating the store when there is none.</summary>
    public static async Task<StoreKeys> OpenOrCreateAsync(
        IObjectStore objects, Passphrase passphrase, KdfCost cost, IEntropy entropy, TimeProvider time,
        CancellationToken cancellation)
    {
        byte[]? found = await objects.TryReadAsync(ObjectKey, RecordBytesMax, cancellation);
        if (found is null)
        {
            byte[] fresh = Create(passphrase, cost, entropy, time);
            await objects.TryCreateAsync(ObjectKey, fresh, cancellation);

            // Another server may have made the store at the same moment: what the bucket holds now is the store.
            found = await objects.TryReadAsync(ObjectKey, RecordBytesMax, cancellation)
                ?? throw StorageFaultException.Corrupt(
                    $"The object {ObjectKey} in {objects.Location} was created but cannot be read back.");
        }

        return Parse(found, objects.Location).Unlock(passphrase, objects.Location);
    }

    private static byte[] Create(Passphrase passphrase, KdfCost cost, IEntropy entropy, TimeProvider time)
    {
        byte[] id = new byte[16], dataKey = new byte[StoreKeys.KeyBytes], salt = new byte[16], nonce = new byte[12];
        entropy.Fill(id);
        entropy.Fill(dataKey);
        entropy.Fill(salt);
        entropy.Fill(nonce);
        byte[] wrapping = new byte[StoreKeys.KeyBytes];
        PassphraseKdf.Derive(passphrase, salt, cost, wrapping);
        byte[] wrapped = new byte[StoreKeys.KeyBytes + 16];
        var storeId = new Guid(id);
        using (var cipher = new ChaCha20Poly1305(wrapping))
            cipher.Encrypt(nonce, dataKey, wrapped.AsSpan(0, 32), wrapped.AsSpan(32), BoundTo(storeId));
        var record = new StoreRecord
        {
            Format = FormatNow,
            StoreId = storeId,
            Created = time.GetUtcNow(),
            KdfName = Kdf,
            KdfMemoryKib = cost.MemoryKib,
            KdfPasses = cost.Passes,
            KdfSalt = salt,
            WrapNonce = nonce,
            WrappedKey = wrapped,
        };
        return JsonSerializer.SerializeToUtf8Bytes(record, StoreRecordJson.Default.StoreRecord);
    }

    private static StoreRecord Parse(byte[] json, string location)
    {
        StoreRecord record;
        try
        {
            record = JsonSerializer.Deserialize(json, StoreRecordJson.Default.StoreRecord)
                ?? throw new JsonException("null");
        }
        catch (JsonException broken)
        {
            throw StorageFaultException.Corrupt($"The object {ObjectKey} in {location} is not a ZeroFlow store record.", broken);
        }

        if (record.Format != FormatNow)
        {
            throw new StorageFaultException(
                FaultKind.Invalid,
                $"The store in {location} has format {record.Format}; this program knows format {FormatNow}. Use a newer ZeroFlow.");
        }

        return record;
    }

    private StoreKeys Unlock(Passphrase passphrase, string location)
    {
        var cost = new KdfCost(KdfMemoryKib, KdfPasses);
        if (KdfName != Kdf || !cost.IsAcceptable || WrapNonce.Length != 12 || WrappedKey.Length != StoreKeys.KeyBytes + 16)
            throw StorageFaultException.Corrupt($"The object {ObjectKey} in {location} asks for a key derivation that is not sensible.");
        byte[] wrapping = new byte[StoreKeys.KeyBytes], dataKey = new byte[StoreKeys.KeyBytes];
        PassphraseKdf.Derive(passphrase, KdfSalt, cost, wrapping);
        try
        {
            using var cipher = new ChaCha20Poly1305(wrapping);
            cipher.Decrypt(WrapNonce, WrappedKey.AsSpan(0, 32), WrappedKey.AsSpan(32), dataKey, BoundTo(StoreId));
        }
        catch (AuthenticationTagMismatchException wrong)
        {
            throw new StorageFaultException(
                FaultKind.Denied, $"The passphrase does not open the store in {location}.", wrong);
        }

        return new StoreKeys(StoreId, dataKey);
    }

    private static byte[] BoundTo(Guid storeId) => Encoding.ASCII.GetBytes($"zeroflow data key {storeId:D}");
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower,
    WriteIndented = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(StoreRecord))]
internal sealed partial class StoreRecordJson : JsonSerializerContext;
